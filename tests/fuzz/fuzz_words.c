// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_words.c - what people type: addresses, prefixes and the options of the command line.
 *
 * Room: tests/fuzz. Calls detect/address, text/words and tools/knell/options. The input is a
 * command line whose words end in newlines.
 */
#include <stdbool.h>
#include <string.h>
#include "../../tools/knell/options.h"
#include "detect/address.h"
#include "fuzz.h"
#include "text/words.h"

#define WORDS_MAX 32
#define LEAST	  3
#define MOST	  70000

struct values {
	bool json, pretty;
	const char *pin;
	unsigned int count;
};

static const struct options_spec specs[] = {
	{.name = "json", .letter = 'j', .offset = offsetof(struct values, json)},
	{.name = "pretty", .letter = 'p', .offset = offsetof(struct values, pretty)},
	{.name = "pin",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct values, pin),
	 .meta = "DIR"},
	{.name = "count",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct values, count),
	 .meta = "N",
	 .min = LEAST,
	 .max = MOST},
	{0},
};

/* What is understood can be said, and what is said is understood as the same. */
static void prefix(const char *word)
{
	char why[ADDRESS_WHY_BYTES] = "", text[WORDS_PREFIX_BYTES];
	struct knell_watch_key key, again;

	memset(&key, 0x5a, sizeof(key));
	again = key;
	if (address_prefix(word, &key, why)) {
		FUZZ_HOLDS(why[0] && !memcmp(&key, &again, sizeof(key)));
		return;
	}
	FUZZ_HOLDS(key.prefix_bits <= KNELL_ADDR_BYTES * 8);
	words_prefix(text, sizeof(text), &key);
	FUZZ_HOLDS(!address_prefix(text, &again, why));
	FUZZ_HOLDS(!memcmp(&key, &again, sizeof(key)));
}

static void address(const char *word)
{
	__u8 addr[KNELL_ADDR_BYTES], again[KNELL_ADDR_BYTES];
	char text[WORDS_ADDRESS_BYTES];

	if (words_address_parse(word, addr))
		return;
	words_address(text, sizeof(text), addr);
	FUZZ_HOLDS(!words_address_parse(text, again));
	FUZZ_HOLDS(!memcmp(addr, again, sizeof(addr)));
}

static void options(char *const *words, int count, bool lenient)
{
	struct values values = {.count = LEAST};
	char why[OPTIONS_WHY_BYTES] = "", *argv[WORDS_MAX];
	int argc = count;

	memcpy(argv, words, sizeof(argv));
	if (options_parse(specs, &values, lenient, &argc, argv, why))
		FUZZ_HOLDS(why[0]);
	FUZZ_HOLDS(argc >= 0 && argc <= count);
	FUZZ_HOLDS(values.count >= LEAST && values.count <= MOST);
	/* What is left stands in its order. */
	for (int i = 0, at = 0; i < argc; i++, at++) {
		while (at < count && argv[i] != words[at])
			at++;
		FUZZ_HOLDS(at < count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1), *rest = line, *words[WORDS_MAX] = {NULL};
	int count = 0;

	FUZZ_HOLDS(line);
	memcpy(line, data, size);
	line[size] = '\0';
	while (rest && count < WORDS_MAX)
		words[count++] = strsep(&rest, "\n");
	for (int i = 0; i < count; i++) {
		prefix(words[i]);
		address(words[i]);
	}
	options(words, count, false);
	options(words, count, true);
	free(line);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * seeds.c - runs a fuzzer over files, once each: seeds FILE...
 *
 * Room: tests/fuzz. Linked with one fuzz_NAME.c in place of libFuzzer, so that any compiler's
 * sanitizers do; `make check` does this with the seed corpus, and a crash is looked into with it.
 */
#include <string.h>
#include "fuzz.h"

#define INPUT_BYTES_MAX (1 << 20)

static void feed(const uint8_t *bytes, size_t size)
{
	/* A copy of its own, so that a read beyond its end is seen. */
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_HOLDS(copy);
	memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	static uint8_t bytes[INPUT_BYTES_MAX];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t size;

		if (!file) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		size = fread(bytes, 1, sizeof(bytes), file);
		fclose(file);
		feed(bytes, size);
	}
	printf("%d inputs\n", argc - 1);
	return EXIT_SUCCESS;
}

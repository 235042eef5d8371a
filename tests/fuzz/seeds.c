// SPDX-License-Identifier: BSD-2-Clause
/*
 * seeds.c - runs a fuzzer over files, once each: seeds FILE...
 *
 * Room: tests/fuzz. Linked with one fuzz_NAME.c in place of libFuzzer, so that any compiler's
 * sanitizers do; `make check` does this with the seed corpus, and a crash is looked into with it.
 */
#include "fuzz.h"

#define INPUT_BYTES_MAX (1 << 20)

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		uint8_t *data = malloc(INPUT_BYTES_MAX);
		size_t size;

		if (!file || !data) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		size = fread(data, 1, INPUT_BYTES_MAX, file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	printf("%d inputs\n", argc - 1);
	return EXIT_SUCCESS;
}

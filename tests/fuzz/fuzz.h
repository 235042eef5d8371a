/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what every fuzzer offers, and what it says when a promise is broken.
 *
 * Room: tests/fuzz. Each fuzz_NAME.c is one libFuzzer target; tests/fuzz/run builds and runs it.
 * seeds.c calls the same function with the files of the seed corpus, without libFuzzer.
 */
#ifndef KNELL_TESTS_FUZZ_H
#define KNELL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** LLVMFuzzerTestOneInput - feed data[0..size) to the code under test; aborts on a finding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input. Unlike assert() it is never compiled out. */
#define FUZZ_HOLDS(condition)                                                                      \
	((condition)                                                                               \
		 ? (void)0                                                                         \
		 : (fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), \
		    abort()))

#endif

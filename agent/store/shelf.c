// SPDX-License-Identifier: BSD-2-Clause
/*
 * shelf.c - how files are numbered and named. See shelf.h.
 *
 * Room: store. Pure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/shelf.h"

#define SHELF_DIGITS 16

uint64_t shelf_of(uint64_t file)
{
	return file / SHELF_FILES;
}

void shelf_name(char name[SHELF_NAME_BYTES], uint64_t shelf)
{
	snprintf(name, SHELF_NAME_BYTES, "%016" PRIx64, shelf);
}

void shelf_file_name(char name[SHELF_NAME_BYTES], uint64_t file)
{
	snprintf(name, SHELF_NAME_BYTES, "%016" PRIx64, file);
}

void shelf_path(char path[SHELF_PATH_BYTES], uint64_t file)
{
	snprintf(path, SHELF_PATH_BYTES, "%016" PRIx64 "/%016" PRIx64, shelf_of(file), file);
}

uint64_t shelf_parse(const char *name)
{
	if (strlen(name) != SHELF_DIGITS || strspn(name, "0123456789abcdef") != SHELF_DIGITS)
		return 0;
	return strtoull(name, NULL, 16);
}

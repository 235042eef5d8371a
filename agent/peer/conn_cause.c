// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_cause.c - why connections have ended, in words. See conn_cause.h.
 *
 * Room: peer. Calls libc only.
 */
#include <stdlib.h>
#include <string.h>
#include "peer/conn_cause.h"

struct conn_cause {
	unsigned int holders;
	char words[];
};

struct conn_cause *conn_cause_new(const char *words)
{
	size_t bytes = strlen(words) + 1;
	struct conn_cause *cause = malloc(sizeof(*cause) + bytes);

	if (!cause)
		return NULL;
	cause->holders = 1;
	memcpy(cause->words, words, bytes);
	return cause;
}

struct conn_cause *conn_cause_hold(struct conn_cause *cause)
{
	if (cause)
		cause->holders++;
	return cause;
}

void conn_cause_put(struct conn_cause *cause)
{
	if (cause && !--cause->holders)
		free(cause);
}

const char *conn_cause_words(const struct conn_cause *cause)
{
	return cause ? cause->words : "the connection has ended";
}

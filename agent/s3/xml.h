/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xml.h - the XML of requests, and the escaping that answers need.
 *
 * Room: s3. Pure; calls expat, which nobody else includes. Called by the operations.
 *
 * Hostile input: document types and entities of one's own are refused, and so is what is deep or
 * long.
 */
#ifndef KNELL_S3_XML_H
#define KNELL_S3_XML_H

#include <stddef.h>
#include "io/text.h"

enum {
	XML_DEPTH_MAX = 8,
	XML_TEXT_BYTES_MAX = 4096, /* between two tags */
};

struct xml_callbacks {
	/* `depth` of the outermost element is 1; `name` without its namespace's prefix. 0, or
	 * anything else to refuse the document. */
	int (*begin)(void *ctx, unsigned int depth, const char *name);
	/* `text`: what stood in it, outer white space kept. */
	int (*end)(void *ctx, unsigned int depth, const char *name, const char *text);
};

/** xml_read - 0, -EINVAL (not well-formed, or refused), -ENOMEM. */
int xml_read(const char *bytes, size_t len, const struct xml_callbacks *callbacks, void *ctx);

/** xml_add - append text so that it is nothing but text. */
void xml_add(struct text *text, const char *words);

/** xml_element - append <name>words</name>. */
void xml_element(struct text *text, const char *name, const char *words);

#define XML_HEAD      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * xml.c - the XML of requests, and the escaping that answers need. See xml.h.
 *
 * Room: s3. Pure; calls expat. Called by the operations.
 */
#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <string.h>
#include "s3/xml.h"

struct reading {
	XML_Parser parser;
	const struct xml_callbacks *callbacks;
	void *ctx;
	struct text words; /* of the innermost element, since its last tag */
	unsigned int depth;
	bool refused;
};

static void refuse(struct reading *reading)
{
	reading->refused = true;
	XML_StopParser(reading->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

static void XMLCALL on_begin(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *reading = ctx;

	(void)attributes;
	text_clear(&reading->words);
	if (++reading->depth > XML_DEPTH_MAX ||
	    reading->callbacks->begin(reading->ctx, reading->depth, local_name(name)))
		refuse(reading);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct reading *reading = ctx;
	const char *words = reading->words.len ? reading->words.bytes : "";

	if (reading->refused)
		return;
	if (reading->words.failed ||
	    reading->callbacks->end(reading->ctx, reading->depth, local_name(name), words))
		refuse(reading);
	reading->depth--;
	text_clear(&reading->words);
}

static void XMLCALL on_words(void *ctx, const XML_Char *bytes, int len)
{
	struct reading *reading = ctx;

	if (reading->refused)
		return;
	if (reading->words.len + (size_t)len > XML_TEXT_BYTES_MAX)
		refuse(reading);
	else
		text_add(&reading->words, bytes, (size_t)len);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
			       const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	refuse(ctx);
}

static void XMLCALL on_entity(void *ctx, const XML_Char *name, int parameter, const XML_Char *value,
			      int len, const XML_Char *base, const XML_Char *system,
			      const XML_Char *public, const XML_Char *notation)
{
	(void)name;
	(void)parameter;
	(void)value;
	(void)len;
	(void)base;
	(void)system;
	(void)public;
	(void)notation;
	refuse(ctx);
}

int xml_read(const char *bytes, size_t len, const struct xml_callbacks *callbacks, void *ctx)
{
	struct reading reading = {.callbacks = callbacks, .ctx = ctx};
	enum XML_Status status;
	bool failed;

	reading.parser = XML_ParserCreate(NULL);
	if (!reading.parser)
		return -ENOMEM;
	XML_SetUserData(reading.parser, &reading);
	XML_SetElementHandler(reading.parser, on_begin, on_end);
	XML_SetCharacterDataHandler(reading.parser, on_words);
	XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
	XML_SetEntityDeclHandler(reading.parser, on_entity);
	status = XML_Parse(reading.parser, bytes, (int)len, XML_TRUE);
	failed = reading.words.failed;
	XML_ParserFree(reading.parser);
	text_free(&reading.words);
	if (failed)
		return -ENOMEM;
	return status == XML_STATUS_OK && !reading.refused ? 0 : -EINVAL;
}

void xml_add(struct text *text, const char *words)
{
	const char *from = words;

	for (; *words; words++) {
		unsigned char byte = (unsigned char)*words;
		const char *entity = byte == '&'   ? "&amp;"
				     : byte == '<' ? "&lt;"
				     : byte == '>' ? "&gt;"
				     : byte == '"' ? "&quot;"
						   : NULL;

		if (!entity && byte >= ' ' && byte != 0x7f)
			continue;
		text_add(text, from, (size_t)(words - from));
		if (entity)
			text_puts(text, entity);
		else
			text_printf(text, "&#x%X;", byte);
		from = words + 1;
	}
	text_add(text, from, (size_t)(words - from));
}

void xml_element(struct text *text, const char *name, const char *words)
{
	text_printf(text, "<%s>", name);
	xml_add(text, words);
	text_printf(text, "</%s>", name);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. HTTP/1.1 requests out of bytes. See http1_parse.h.
 * May call: libhttp-parser. Called by: http1.
 *
 * Happy path: the texts of a head are laid one after the other into one buffer, each ended by a
 * NUL; when the head is whole, pointers into it are told; the body passes by; then the parser
 * pauses, so that what follows is left to whoever has it.
 *
 * Failure modes: the library refuses, or we do (what it lets pass and others may read in another
 * way): the fault is told once, and nothing more is read.
 */
#include "http1_parse.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_BYTES_MIN = 1024 };

struct span {
	uint32_t name, value; /* offsets into the text */
};

struct http1_parser {
	http_parser library;
	const struct http1_parser_callbacks *callbacks;
	void *ctx;
	char *text;
	size_t text_len, text_room;
	struct span spans[HTTP1_FIELDS_MAX];
	struct http1_field *fields;
	struct http1_head head;
	enum http1_fault fault;
	enum { IN_NOTHING, IN_TARGET, IN_NAME, IN_VALUE } inside;
	bool begun, head_told, ended, stopped;
	bool in_line, line_seen, head_seen; /* see is_folded() */
};

static struct http1_parser *of(http_parser *library)
{
	return library->data;
}

/* For the library: anything but 0 ends it. */
static int refuse(struct http1_parser *parser, enum http1_fault fault)
{
	if (!parser->fault)
		parser->fault = fault;
	return -1;
}

static int append(struct http1_parser *parser, const char *bytes, size_t len)
{
	size_t room = parser->text_room ? parser->text_room : TEXT_BYTES_MIN;
	char *grown;

	if (len >= HTTP1_HEAD_BYTES_MAX - parser->text_len)
		return refuse(parser, HTTP1_TOO_LARGE);
	while (room < parser->text_len + len)
		room *= 2;
	if (room != parser->text_room) {
		grown = realloc(parser->text, room);
		if (!grown)
			return refuse(parser, HTTP1_OUT_OF_MEMORY);
		parser->text = grown;
		parser->text_room = room;
	}
	memcpy(parser->text + parser->text_len, bytes, len);
	parser->text_len += len;
	return 0;
}

static int end_text(struct http1_parser *parser)
{
	return append(parser, "", 1);
}

static int on_begin(http_parser *library)
{
	of(library)->begun = true;
	return 0;
}

static int on_target(http_parser *library, const char *at, size_t len)
{
	struct http1_parser *parser = of(library);

	parser->inside = IN_TARGET;
	return append(parser, at, len);
}

static int begin_field(struct http1_parser *parser)
{
	/* A value may be missing altogether. */
	if (parser->inside == IN_NAME && end_text(parser))
		return -1;
	if (end_text(parser))
		return -1;
	if (parser->head.field_count == HTTP1_FIELDS_MAX)
		return refuse(parser, HTTP1_TOO_LARGE);
	parser->spans[parser->head.field_count++].name = (uint32_t)parser->text_len;
	parser->inside = IN_NAME;
	return 0;
}

static bool is_name(char byte)
{
	return isalnum((unsigned char)byte) || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static int on_name(http_parser *library, const char *at, size_t len)
{
	struct http1_parser *parser = of(library);
	size_t i, from;

	if (parser->head_told)
		return 0; /* trailers are nobody's */
	if (parser->inside != IN_NAME && begin_field(parser))
		return -1;
	from = parser->text_len;
	if (append(parser, at, len))
		return -1;
	for (i = from; i < parser->text_len; i++) {
		if (!is_name(parser->text[i]))
			return refuse(parser, HTTP1_MALFORMED);
		parser->text[i] = (char)tolower((unsigned char)parser->text[i]);
	}
	return 0;
}

static int on_value(http_parser *library, const char *at, size_t len)
{
	struct http1_parser *parser = of(library);
	size_t i;

	if (parser->head_told)
		return 0;
	for (i = 0; i < len; i++)
		if ((unsigned char)at[i] < ' ' ? at[i] != '\t' : at[i] == 0x7f)
			return refuse(parser, HTTP1_MALFORMED);
	if (parser->inside != IN_VALUE) {
		if (end_text(parser))
			return -1;
		parser->spans[parser->head.field_count - 1].value = (uint32_t)parser->text_len;
		parser->inside = IN_VALUE;
	}
	return append(parser, at, len);
}

const char *http1_field_value(const struct http1_head *head, const char *name)
{
	size_t i;

	for (i = 0; i < head->field_count; i++)
		if (!strcmp(head->fields[i].name, name))
			return head->fields[i].value;
	return NULL;
}

static size_t count_fields(const struct http1_head *head, const char *name)
{
	size_t i, count = 0;

	for (i = 0; i < head->field_count; i++)
		count += !strcmp(head->fields[i].name, name);
	return count;
}

static void trim_end(char *value)
{
	size_t len = strlen(value);

	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		value[--len] = '\0';
}

static int lay_out(struct http1_parser *parser)
{
	size_t i;

	if (parser->inside == IN_NAME) {
		if (end_text(parser))
			return -1;
		parser->spans[parser->head.field_count - 1].value = (uint32_t)parser->text_len;
	}
	if (end_text(parser))
		return -1;
	parser->fields = calloc(parser->head.field_count + 1, sizeof(*parser->fields));
	if (!parser->fields)
		return refuse(parser, HTTP1_OUT_OF_MEMORY);
	for (i = 0; i < parser->head.field_count; i++) {
		trim_end(parser->text + parser->spans[i].value);
		parser->fields[i].name = parser->text + parser->spans[i].name;
		parser->fields[i].value = parser->text + parser->spans[i].value;
	}
	parser->head.fields = parser->fields;
	parser->head.target = parser->text;
	return 0;
}

/* How long is the body? Whoever says it in two ways means one for us and one for somebody else. */
static int measure(struct http1_parser *parser)
{
	struct http1_head *head = &parser->head;
	size_t codings = count_fields(head, "transfer-encoding");
	size_t lengths = count_fields(head, "content-length");

	if (lengths > 1 || codings > 1 || (lengths && codings))
		return refuse(parser, HTTP1_MALFORMED);
	if (codings) {
		if (strcasecmp(http1_field_value(head, "transfer-encoding"), "chunked"))
			return refuse(parser, HTTP1_CODING);
		if (!head->is_1_1 || !(parser->library.flags & F_CHUNKED))
			return refuse(parser, HTTP1_MALFORMED);
		head->body_bytes = HTTP1_CHUNKED;
	} else if (lengths) {
		head->body_bytes = parser->library.content_length;
	}
	return 0;
}

static int on_head(http_parser *library)
{
	struct http1_parser *parser = of(library);
	struct http1_head *head = &parser->head;
	const char *expect;

	if (library->http_major != 1 || library->http_minor > 1)
		return refuse(parser, HTTP1_VERSION);
	head->is_1_1 = library->http_minor == 1;
	head->keep_alive = http_should_keep_alive(library);
	head->method = http_method_str(library->method);
	if (lay_out(parser) || measure(parser))
		return -1;
	if (count_fields(head, "host") > 1 || (head->is_1_1 && !count_fields(head, "host")))
		return refuse(parser, HTTP1_MALFORMED);
	expect = http1_field_value(head, "expect");
	head->expects_continue = head->is_1_1 && expect && !strcasecmp(expect, "100-continue");
	library->upgrade = 0; /* we go on as we are, which everybody must be ready for */
	parser->head_told = true;
	parser->callbacks->on_head(parser->ctx, head);
	return parser->stopped ? -1 : 0;
}

static int on_body(http_parser *library, const char *at, size_t len)
{
	struct http1_parser *parser = of(library);

	parser->callbacks->on_body(parser->ctx, (const uint8_t *)at, len);
	return parser->stopped ? -1 : 0;
}

static int on_end(http_parser *library)
{
	struct http1_parser *parser = of(library);

	parser->ended = true;
	http_parser_pause(library, 1);
	parser->callbacks->on_end(parser->ctx);
	return parser->stopped ? -1 : 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_end,
};

int http1_parser_open(struct http1_parser **parser, const struct http1_parser_callbacks *callbacks,
		      void *ctx)
{
	struct http1_parser *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->callbacks = callbacks;
	fresh->ctx = ctx;
	fresh->library.data = fresh;
	http_parser_init(&fresh->library, HTTP_REQUEST);
	*parser = fresh;
	return 0;
}

void http1_parser_close(struct http1_parser *parser)
{
	if (!parser)
		return;
	free(parser->text);
	free(parser->fields);
	free(parser);
}

/*
 * A line of the head that begins with a blank goes on with the field before: so the library has it,
 * others take it for a field of its own. RFC 9112 lets us refuse it.
 */
static bool is_folded(struct http1_parser *parser, const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len;

	for (; data < end && !parser->head_seen; data++) {
		if (*data == '\n') {
			parser->head_seen = parser->line_seen && !parser->in_line;
			parser->line_seen |= parser->in_line;
			parser->in_line = false;
		} else if (*data != '\r') {
			if (parser->line_seen && !parser->in_line &&
			    (*data == ' ' || *data == '\t'))
				return true;
			parser->in_line = true;
		}
	}
	return false;
}

size_t http1_parser_read(struct http1_parser *parser, const uint8_t *data, size_t len,
			 enum http1_fault *fault)
{
	size_t used;

	if (parser->stopped || parser->ended || !len)
		return 0;
	if (is_folded(parser, data, len)) {
		refuse(parser, HTTP1_MALFORMED);
		*fault = parser->fault;
		return 0;
	}
	used = http_parser_execute(&parser->library, &settings, (const char *)data, len);
	if (parser->stopped)
		return len;
	if (parser->ended)
		return used;
	switch (HTTP_PARSER_ERRNO(&parser->library)) {
	case HPE_OK:
		return used;
	case HPE_HEADER_OVERFLOW:
		refuse(parser, HTTP1_TOO_LARGE);
		break;
	case HPE_INVALID_VERSION:
		refuse(parser, HTTP1_VERSION);
		break;
	default:
		refuse(parser, HTTP1_MALFORMED);
		break;
	}
	*fault = parser->fault;
	return used;
}

bool http1_parser_begun(const struct http1_parser *parser)
{
	return parser->begun;
}

void http1_parser_next(struct http1_parser *parser)
{
	free(parser->text);
	free(parser->fields);
	parser->text = NULL;
	parser->fields = NULL;
	parser->text_len = 0;
	parser->text_room = 0;
	parser->head = (struct http1_head){0};
	parser->inside = IN_NOTHING;
	parser->begun = false;
	parser->head_told = false;
	parser->ended = false;
	parser->in_line = false;
	parser->line_seen = false;
	parser->head_seen = false;
	http_parser_init(&parser->library, HTTP_REQUEST);
}

void http1_parser_stop(struct http1_parser *parser)
{
	parser->stopped = true;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The head of an HTTP/1.1 answer, as text. See http1_answer.h.
 * May call: text. Called by: http1.
 */
#include "http1_answer.h"

#include <inttypes.h>
#include <string.h>

enum { DATE_BYTES = 40 };

static const struct phrase {
	unsigned int status;
	const char *words;
} phrases[] = {
	{200, "OK"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{400, "Bad Request"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{416, "Range Not Satisfiable"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

static const char *phrase_of(unsigned int status)
{
	size_t i;

	for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].words;
	return "Unknown";
}

bool http1_answer_has_body(unsigned int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void add_field(struct text *text, const struct http1_field *field)
{
	const unsigned char *at;

	for (at = (const unsigned char *)field->value; *at; at++)
		if ((*at < ' ' && *at != '\t') || *at == 0x7f)
			return;
	text_printf(text, "%s: %s\r\n", field->name, field->value);
}

void http1_answer_text(struct text *text, const struct http1_answer *answer)
{
	char date[DATE_BYTES];
	struct tm tm;
	size_t i;

	gmtime_r(&answer->now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	text_printf(text, "HTTP/1.1 %u %s\r\nDate: %s\r\n", answer->status,
		    phrase_of(answer->status), date);
	for (i = 0; i < answer->field_count; i++)
		add_field(text, &answer->fields[i]);
	if (http1_answer_has_body(answer->status)) {
		if (answer->body_bytes != HTTP1_CHUNKED)
			text_printf(text, "Content-Length: %" PRIu64 "\r\n", answer->body_bytes);
		else if (!answer->until_the_close)
			text_puts(text, "Transfer-Encoding: chunked\r\n");
	}
	if (answer->close)
		text_puts(text, "Connection: close\r\n");
	text_puts(text, "\r\n");
}

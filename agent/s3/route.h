/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route.h - which operation a request asks for: one table.
 *
 * Room: s3. Calls nothing but what the table names. Called by call.
 */
#ifndef KNELL_S3_ROUTE_H
#define KNELL_S3_ROUTE_H

#include "s3/call.h"

/** s3_route - S3_OK and *operation, S3_METHOD_NOT_ALLOWED or S3_NOT_IMPLEMENTED. */
enum s3_error s3_route(const struct s3_request *request, const struct s3_operation **operation);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A PUT: from its headers, when it is admitted or refused, to the object on its shelf. */
#ifndef STORE_UPLOAD_H
#define STORE_UPLOAD_H

#include "answer.h"
#include "objects.h"

/* The body is counted as it comes, and admitted step by step, when its length is not known. */
struct upload;

/* Admits a write before its body is read.
 *
 * returns  the upload; NULL if it is refused, and *ret_refusal says why
 * undo     upload_end()
 */
struct upload *upload_begin(struct shelf *shelf, const char *key, uint64_t length_bytes, struct refusal *ret_refusal);

/* Takes a part of the body. A body that can no longer be kept is dropped at once, and the rest of it is skipped. */
void upload_add(struct upload *upload, const char *bytes, size_t size);

/* Puts the whole object on its shelf and answers; or says why not. */
enum MHD_Result upload_finish(struct upload *upload, struct MHD_Connection *connection);

/* Frees what there is of the upload: after its answer, and when the client is gone. */
void upload_end(struct upload *upload);

/* Requests by verdict, since start; indexed by hr_verdict. */
const uint64_t *upload_verdicts(void);

#endif

/*
 * lease_record - a Lease as the server holds it: from and to JSON. Pure.
 *
 * A record owns its texts: lease_record_release().
 */
#ifndef RR_KUBE_LEASE_RECORD_H
#define RR_KUBE_LEASE_RECORD_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/codec/json.h"

struct lease_record {
    struct arena arena;
    const char *uid, *resource_version;    /* NULL: there is no such Lease yet */
    const char *holder;                    /* "": nobody */
    const char *acquire_time, *renew_time; /* as the server wrote them; NULL: absent */
    int64_t duration_s;                    /* 0: absent */
    int64_t transitions;
    bool has_strategy;
    const char *spec; /* JSON: two equal ones are the same record */
    const char *kept; /* kept_metadata() */
};

/* ERR_API if it is no Lease. */
enum errc lease_record_parse(const struct json *object, struct lease_record *ret_record,
                             struct error *err) RR_MUST_CHECK;
/* The body of a PUT. Without uid and resourceVersion it creates. */
void lease_record_render(struct str *s, const char *namespace_name, const char *name,
                         const struct lease_record *record);
/* Takes texts and memory over; `from` is empty then. */
void lease_record_move(struct lease_record *to, struct lease_record *from);
void lease_record_release(struct lease_record *record);
#define LEASE_RECORD_GUARD __attribute__((cleanup(lease_record_release)))

/* Two times as the API writes them (MicroTime), read leniently: with any number of digits and any
 * zone. Absent is equal to nothing. */
bool lease_time_equal(const char *a, const char *b);

#endif

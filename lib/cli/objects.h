/*
 * objects - workloads and Ingresses in what plan and status print.
 */
#ifndef RR_CLI_OBJECTS_H
#define RR_CLI_OBJECTS_H

#include "lib/base/str.h"
#include "lib/reconcile/application.h"

/* "Deployment web (3 replicas), Ingress shop"; "nothing" if there is none. What is marked is shown
 * with what it had. */
void objects_append_text(struct str *text, const struct application *application, unsigned kinds);
/* [{"kind":"Deployment","name":"web","replicas":3,"run":"..."},{"kind":"Ingress",...}]; `run` where
 * it is marked. */
void objects_append_json(struct str *text, const struct application *application, unsigned kinds);

#endif

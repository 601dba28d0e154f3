/*
 * termination - the last line of a run where Kubernetes shows it: a container's termination
 * message (`kubectl describe pod`, status.containerStatuses[].state.terminated.message).
 */
#ifndef RR_CLI_TERMINATION_H
#define RR_CLI_TERMINATION_H

#include "lib/reconcile/outcome.h"

/* Writes the outcome as JSON, at most the 4096 bytes that the kubelet takes: what is too long is
 * shortened inside its message. `path` NULL: in a pod the kubelet's own file, if it is there, else
 * nowhere. A failure is logged: the line is on standard output as well. */
void termination_write(const char *path, const struct outcome *outcome);

#endif

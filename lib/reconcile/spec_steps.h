/*
 * spec_steps - the lists of the configuration: preSteps, postSteps, verify and smoke. Part of spec.
 *
 * A step is a mapping of one key. Which steps a list may hold, and what a statement has to say
 * there: a statement of preSteps on the live database says how it is undone, since any failure
 * before the swap undoes it; postSteps come after the swap, when nothing is undone and no staging
 * database is left.
 */
#ifndef RR_RECONCILE_SPEC_STEPS_H
#define RR_RECONCILE_SPEC_STEPS_H

#include "lib/reconcile/reader.h"

/* Readers for reader_field.read; the target is a struct spec. */
void spec_read_pre_steps(struct reader *r, const struct reader_field *field,
                         const struct yaml_node *node, void *target);
void spec_read_post_steps(struct reader *r, const struct reader_field *field,
                          const struct yaml_node *node, void *target);
void spec_read_verify(struct reader *r, const struct reader_field *field,
                      const struct yaml_node *node, void *target);
void spec_read_smoke(struct reader *r, const struct reader_field *field,
                     const struct yaml_node *node, void *target);

/* A step of preSteps that takes something away without the step of postSteps that brings it back.
 */
void spec_check_counterparts(struct reader *r, const struct spec *spec);

#endif

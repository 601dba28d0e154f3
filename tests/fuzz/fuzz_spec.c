/*
 * restore.yaml from any bytes. The same text always gives the same answer; what is accepted keeps
 * the bounds that the rest of the program relies on; findings say where.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/reconcile/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_spec(const struct spec *spec)
{
    require(spec->database && spec->database[0]);
    require(strlen(spec->database) <= LIMIT_DATABASE_NAME_BYTES);
    require(strcmp(spec->database, spec->control_database) != 0);
    require(spec->backups.location && spec->backups.name);
    require(spec->jobs >= 1 && spec->jobs <= LIMIT_JOBS);
    require(spec->max_attempts >= 1 && spec->max_attempts <= LIMIT_ATTEMPTS);
    for (size_t i = 0; i < spec->pre_step_count; i++) {
        const struct spec_step *step = &spec->pre_steps[i];
        require(step->kind != SPEC_STEP_ENABLE_INGRESS);
        if (step->kind == SPEC_STEP_SQL)
            require(step->sql && (step->undo || step->sql_on == SPEC_ON_STAGING));
    }
    for (size_t i = 0; i < spec->post_step_count; i++) {
        const struct spec_step *step = &spec->post_steps[i];
        require(step->kind != SPEC_STEP_DISABLE_INGRESS);
        if (step->kind == SPEC_STEP_SQL)
            require(step->sql && step->sql_on == SPEC_ON_LIVE && (!step->undo || !step->undo[0]));
    }
    for (size_t i = 0; i < spec->verify_count; i++)
        require(spec->verify[i].kind == SPEC_CHECK_SQL && spec->verify[i].sql);
}

static void check_findings(const struct spec_findings *findings)
{
    require(findings->total >= 1 && findings->count <= SPEC_FINDINGS_MAX);
    require(findings->count <= findings->total);
    for (size_t i = 0; i < findings->count; i++)
        require(strncmp(findings->items[i].text, "fuzz:", 5) == 0 && findings->items[i].hint);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT, err_again = ERROR_INIT;
    struct spec spec, again;
    struct spec_findings findings;
    struct spec_text text = {(const char *)bytes, length, "fuzz", 0};
    enum errc code = spec_parse(&arena, &text, &spec, &findings, &err);
    require(spec_parse(&arena, &text, &again, NULL, &err_again) == code);
    require(strcmp(err.text, err_again.text) == 0);
    if (code) {
        require(code == ERR_CONFIG);
        check_findings(&findings);
        return 0;
    }
    check_spec(&spec);
    if (spec_check_supported(&arena, &spec, false, &findings, &err))
        check_findings(&findings);
    return 0;
}

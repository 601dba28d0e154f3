#include "lib/kube/change.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/retry.h"

/* Between two tries lies a read that was answered: the server is there, no need for long pauses. */
static const struct retry_policy lost_answers = {
    .attempts = 4, .first_pause_ms = 100, .max_pause_ms = 200};

struct attempt {
    const struct change *change;
    const char *body;
    struct error outcome; /* of what must not be tried again */
};

void change_operation(struct str *patch, const char *operation, const char *pointer,
                      const char *value)
{
    if (patch->length)
        str_append_char(patch, ',');
    str_printf(patch, "{\"op\":\"%s\",\"path\":", operation);
    str_append_json(patch, pointer);
    if (value) {
        str_append(patch, ",\"value\":");
        str_append(patch, value);
    }
    str_append_char(patch, '}');
}

/* As change_operation(), for a value that is a text. */
static void text_operation(struct str *patch, const char *operation, const char *pointer,
                           const char *text)
{
    STR_GUARD struct str value = STR_INIT(LIMIT_PATCH_BYTES);
    str_append_json(&value, text);
    change_operation(patch, operation, pointer, str_text(&value));
    patch->is_cut = patch->is_cut || value.is_cut;
}

static void annotation_pointer(struct str *pointer, const char *name)
{
    str_append(pointer, "/metadata/annotations");
    kube_pointer_append(pointer, name);
}

void change_annotate(struct str *patch, bool has_annotations, const struct annotation *annotations,
                     size_t count)
{
    if (!has_annotations)
        change_operation(patch, "add", "/metadata/annotations", "{}");
    for (size_t i = 0; i < count; i++) {
        STR_GUARD struct str pointer = STR_INIT(LIMIT_PATCH_BYTES);
        annotation_pointer(&pointer, annotations[i].name);
        text_operation(patch, "add", str_text(&pointer), annotations[i].value);
    }
}

void change_remove_annotation(struct str *patch, const char *name)
{
    STR_GUARD struct str pointer = STR_INIT(LIMIT_PATCH_BYTES);
    annotation_pointer(&pointer, name);
    change_operation(patch, "remove", str_text(&pointer), NULL);
}

enum errc change_check_state(const char *kind, const char *name, const char *marked_state,
                             const char *marked_run, const char *state, struct error *err)
{
    if (!marked_state || text_equal(marked_state, state))
        return RR_OK;
    STR_GUARD struct str other = STR_INIT(600), run = STR_INIT(600);
    str_append_quoted(&other, marked_state, 253);
    str_append_quoted(&run, marked_run, 80);
    error_set(err, ERR_STEP, "%s '%s' has been taken away by the state %s (run %s)", kind, name,
              str_text(&other), str_text(&run));
    return error_hint(
        err,
        "wait until that state's run is over; if it is gone for good, put the %s back "
        "by hand and remove its annotations restore-reconciler/*",
        kind);
}

/* ---- sending ---- */

/* What becomes of the object after a refusal or a lost answer, which is in `err`. */
static enum errc settle(const struct change *change, struct error *err)
{
    struct error cause = *err;
    error_clear(err);
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {
        .verb = KUBE_GET, .resource = change->resource, .name = change->name};
    if (kube_send(change->kube, &request, &answer, err))
        return error_wrap(err, "%s '%s' could not be read back after '%s'", change->kind,
                          change->name, errc_reason(cause.code));
    const struct json *json = json_root(answer.document);
    bool is_same = text_equal(kube_meta(json, "uid"), change->uid) &&
                   text_equal(kube_meta(json, "resourceVersion"), change->resource_version);
    if (is_same) {
        *err = cause;
        return cause.code == ERR_CONFLICT ? error_recode(err, ERR_REJECTED) : cause.code;
    }
    STR_GUARD struct str patch = STR_INIT(LIMIT_PATCH_BYTES);
    bool is_done = false;
    enum errc code = change->take(change->context, json, err);
    if (!code)
        code = change->plan(change->context, &patch, &is_done, err);
    if (code || is_done)
        return code;
    return error_set(err, ERR_CONFLICT, "%s '%s' was changed by somebody else since it was read",
                     change->kind, change->name);
}

static enum errc send_patch(const struct change *change, const char *body, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {
        .verb = KUBE_JSON_PATCH, .resource = change->resource, .name = change->name, .body = body};
    enum errc code = kube_send(change->kube, &request, &answer, err);
    if (!code)
        code = change->take(change->context, json_root(answer.document), err);
    if (code && answer.document) /* done, but what came back cannot be used */
        code = error_recode(err, ERR_ANSWER_LOST);
    bool is_doubtful = code == ERR_ANSWER_LOST || code == ERR_REJECTED || code == ERR_CONFLICT;
    return is_doubtful ? settle(change, err) : code;
}

/* Only a lost answer may be tried again here: the client has tried the rest itself, and a conflict
 * is for the caller to decide. */
static enum errc try_once(void *context, struct retry *retry, struct error *err)
{
    (void)retry;
    struct attempt *attempt = context;
    enum errc code = send_patch(attempt->change, attempt->body, err);
    if (code == RR_OK || code == ERR_ANSWER_LOST)
        return code;
    attempt->outcome = *err;
    error_clear(err);
    return RR_OK;
}

enum errc change_apply(const struct change *change, struct error *err)
{
    STR_GUARD struct str body = STR_INIT(LIMIT_PATCH_BYTES), planned = STR_INIT(LIMIT_PATCH_BYTES);
    bool is_done = false;
    enum errc code = change->plan(change->context, &planned, &is_done, err);
    if (code || is_done)
        return code;
    text_operation(&body, "test", "/metadata/uid", change->uid);
    text_operation(&body, "test", "/metadata/resourceVersion", change->resource_version);
    STR_GUARD struct str whole = STR_INIT(LIMIT_PATCH_BYTES);
    str_printf(&whole, "[%s,%s]", str_text(&body), str_text(&planned));
    whole.is_cut = whole.is_cut || planned.is_cut;
    code = str_check(&whole, "the patch", err);
    if (code)
        return error_wrap(err, "%s '%s'", change->kind, change->name);
    struct attempt attempt = {.change = change, .body = str_text(&whole)};
    code = retry_run(&lost_answers, clock_system(), NULL, try_once, &attempt, err);
    if (code)
        return code;
    if (attempt.outcome.code)
        *err = attempt.outcome;
    return attempt.outcome.code;
}

#include "lib/backup/location.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/net/url.h"

#define HINT_FORMS "write s3://bucket/folder/, file:///folder/ or an absolute path"

enum { SHOWN_BYTES = 200 };

static enum errc refuse(struct error *err, const char *url, const char *why)
{
    STR_GUARD struct str quoted = STR_INIT(2 * SHOWN_BYTES);
    str_append_quoted(&quoted, url, SHOWN_BYTES);
    error_set(err, ERR_CONFIG, "location %s %s", str_text(&quoted), why);
    return error_hint(err, HINT_FORMS);
}

/* For what may hold a password: says what is wrong and repeats nothing. */
static enum errc refuse_silently(struct error *err, const char *what)
{
    error_set(err, ERR_CONFIG, "the location holds %s", what);
    return error_hint(
        err, "credentials and endpoints are read from the environment "
             "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3); " HINT_FORMS);
}

static enum errc check_common(const char *url, struct error *err)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    size_t authority_length = strcspn(authority, "/?#");
    if (scheme_end && memchr(authority, '@', authority_length))
        return refuse_silently(err, "a user or password");
    if (scheme_end && strpbrk(authority, "?#"))
        return refuse_silently(err, "a query ('?') or fragment ('#')");
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return refuse(err, url, "holds a control character");
    return RR_OK;
}

static bool is_bucket_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (i == 0 || !strchr("-._", c)))
            return false;
    }
    return length >= 1 && length <= LIMIT_BUCKET_NAME_BYTES;
}

static enum errc parse_s3(struct arena *arena, const char *url, const char *rest,
                          struct location *ret_location, struct error *err)
{
    size_t length = strcspn(rest, "/");
    if (length == 0)
        return refuse(err, url, "names no bucket");
    if (memchr(rest, ':', length)) {
        error_set(err, ERR_CONFIG, "the location's bucket name holds a ':'");
        return error_hint(err, "the endpoint goes into AWS_ENDPOINT_URL_S3, the location is "
                               "s3://bucket/folder/");
    }
    if (!is_bucket_name(rest, length))
        return refuse(err, url, "holds a bucket name that no store allows");
    const char *path = rest[length] == '/' ? rest + length + 1 : "";
    if (strlen(path) > LIMIT_OBJECT_KEY_BYTES)
        return refuse(err, url, "is longer than an object's name may be");
    *ret_location = (struct location){
        .kind = LOCATION_S3,
        .bucket = arena_strndup(arena, rest, length),
        .path = arena_strdup(arena, path),
        .url = arena_strdup(arena, url),
    };
    return RR_OK;
}

/* The path as an URL that parses back to it, and otherwise as readable as it can be. */
static const char *file_url(struct arena *arena, const char *path)
{
    STR_GUARD struct str url = STR_INIT(8 + 3 * strlen(path));
    str_append(&url, "file://");
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f || strchr("%?#", *p))
            str_printf(&url, "%%%02X", (unsigned char)*p);
        else
            str_append_char(&url, *p);
    }
    return arena_strdup(arena, str_text(&url));
}

static struct location file_location(struct arena *arena, const char *path)
{
    return (struct location){
        .kind = LOCATION_FILE,
        .bucket = "",
        .path = arena_strdup(arena, path),
        .url = file_url(arena, path),
    };
}

static enum errc parse_file(struct arena *arena, const char *url, const char *rest,
                            struct location *ret_location, struct error *err)
{
    if (text_has_prefix(rest, "localhost/"))
        rest += strlen("localhost");
    if (*rest != '/')
        return refuse(err, url, "is not absolute: file:// has three slashes");
    STR_GUARD struct str path = STR_INIT(LIMIT_FILE_PATH_BYTES);
    if (!url_decode(&path, rest, strlen(rest)))
        return refuse(err, url, "holds a malformed '%' escape ('%' itself is written %25)");
    if (path.is_cut)
        return refuse(err, url, "is longer than a path may be");
    *ret_location = file_location(arena, str_text(&path));
    return RR_OK;
}

static enum errc refuse_scheme(struct error *err, const char *url)
{
    static const char *const planned[] = {"gs://", "az://", "https://", "http://", NULL};
    for (const char *const *scheme = planned; *scheme; scheme++) {
        if (!text_has_prefix(url, *scheme))
            continue;
        error_set(err, ERR_UNSUPPORTED, "locations that begin with %s are not supported yet",
                  *scheme);
        return error_hint(err, HINT_FORMS);
    }
    const char *end = strstr(url, "://");
    if (!end)
        return refuse(err, url, "is neither an URL nor an absolute path");
    STR_GUARD struct str scheme = STR_INIT(2 * SHOWN_BYTES);
    str_append_bytes(&scheme, url, (size_t)(end - url));
    return refuse(err, str_text(&scheme), "is of an unknown kind");
}

enum errc location_parse(struct arena *arena, const char *url, struct location *ret_location,
                         struct error *err)
{
    if (!url || !*url)
        return refuse(err, "", "is empty");
    if (check_common(url, err))
        return err->code;
    if (text_has_prefix(url, "s3://"))
        return parse_s3(arena, url, url + strlen("s3://"), ret_location, err);
    if (text_has_prefix(url, "file://"))
        return parse_file(arena, url, url + strlen("file://"), ret_location, err);
    if (*url != '/')
        return refuse_scheme(err, url);
    if (strlen(url) > LIMIT_FILE_PATH_BYTES)
        return refuse(err, url, "is longer than a path may be");
    *ret_location = file_location(arena, url);
    return RR_OK;
}

struct location location_copy(struct arena *arena, const struct location *location)
{
    return (struct location){
        .kind = location->kind,
        .bucket = arena_strdup(arena, location->bucket),
        .path = arena_strdup(arena, location->path),
        .url = arena_strdup(arena, location->url),
    };
}

bool location_is_folder(const struct location *location)
{
    return text_has_suffix(location->path, "/");
}

struct location location_join(struct arena *arena, const struct location *folder, const char *name)
{
    const char *slash = *folder->path == '\0' || text_has_suffix(folder->path, "/") ? "" : "/";
    const char *path = arena_printf(arena, "%s%s%s", folder->path, slash, name);
    if (folder->kind == LOCATION_FILE)
        return file_location(arena, path);
    return (struct location){
        .kind = folder->kind,
        .bucket = folder->bucket,
        .path = path,
        .url = arena_printf(arena, "s3://%s/%s", folder->bucket, path),
    };
}

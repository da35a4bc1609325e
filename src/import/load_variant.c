/* load_variant.c: reads the variant of a stack from a file's metadata, where every key must mean something. */
#include "core/error.h"
#include "load.h"
#include "variant.h"

/* ---- keys ---- */

int64_t gru_load_layer_number(const char **text) {
    const char *c = *text;
    int64_t number = 0;
    if (*c < '0' || *c > '9' || (*c == '0' && c[1] >= '0' && c[1] <= '9')) return -1;
    for (; *c >= '0' && *c <= '9'; c++)
        if (number <= INT32_MAX) number = 10 * number + (*c - '0');
    *text = c;
    return number;
}

/* What a name after "gru." means. */
typedef struct option {
    const char *name; /* "reset", "dropout" */
    int field;        /* of a layer; -1: of the stack */
    int64_t layer;    /* -1: all */
    int reverse;      /* of its reverse direction alone */
} option;

static int is_of_stack(const char *name) {
    return strcmp(name, "dropout") == 0 || strcmp(name, "initial_state") == 0;
}

/* 0: it means nothing. */
static int read_option(const char *name, option *o) {
    *o = (option){.name = name, .field = gru_variant_find(name), .layer = -1};
    if (o->field >= 0 || is_of_stack(name)) return 1;
    if (*name++ != 'l' || (o->layer = gru_load_layer_number(&name)) < 0 || *name++ != '.') return 0;
    o->reverse = strncmp(name, "reverse.", strlen("reverse.")) == 0;
    o->name = o->reverse ? name + strlen("reverse.") : name;
    o->field = gru_variant_find(o->name);
    return o->field >= 0 && (!o->reverse || gru_variant_is_of_direction(o->field));
}

/* The last "gru." of a key: no option has one in its name. NULL: there is none. */
static const char *last_mark(const char *key) {
    const char *last = NULL;
    for (const char *mark = strstr(key, "gru."); mark; mark = strstr(mark + 1, "gru.")) last = mark;
    return last;
}

/* An option of a GRU that the file does not have was meant for one that it has. */
static gru_status check_owner(const gru_loader *l, const char *key) {
    const char *mark = last_mark(key);
    option o;
    if (!mark || !read_option(mark + strlen("gru."), &o)) return GRU_OK;
    if (gru_load_is_prefix(l->file, key, (size_t)(mark - key))) return GRU_OK;
    char text[600];
    gru_load_list_prefixes(l->file, text, sizeof text);
    return gru_fail(GRU_BAD_DATA,
                    "%s: metadata \"%s\" is of a GRU with the prefix \"%.*s\", but the GRUs here have %s",
                    l->file->source, key, (int)(mark - key), key, text);
}

/* Whether a key that begins with this prefix and "gru." is of a longer prefix, or another name of a tensor. */
static int is_of_another(const gru_loader *l, const char *key) {
    const char *mark = last_mark(key);
    const size_t bytes = (size_t)(mark - key);
    if (gru_file_find(l->file, key)) return 1;
    return bytes > l->prefix_length && gru_load_is_prefix(l->file, key, bytes);
}

/* ---- values ---- */

static gru_status read_dropout(gru_loader *l, const gru_metadata *line) {
    GRU_TRY(gru_variant_number(line, &l->dropout));
    if (l->dropout < 1) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected a number below 1", line->source,
                    line->key, line->text);
}

static gru_status read_initial_state(gru_loader *l, const gru_metadata *line) {
    l->learned_states = strcmp(line->text, "learned") == 0;
    if (l->learned_states || strcmp(line->text, "zeros") == 0) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected zeros, learned", line->source,
                    line->key, line->text);
}

/* The reverse direction's own configuration starts as that of the layer. */
static gru_status read_reverse_line(gru_stack_layer *layer, const option *o, const gru_metadata *line) {
    if (!layer->bidirectional)
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is of a direction that is not there", line->source,
                        line->key);
    if (layer->reverse_config.direction != GRU_REVERSE) layer->reverse_config = layer->config;
    layer->reverse_config.direction = GRU_REVERSE;
    return gru_variant_read(&layer->reverse_config, NULL, o->field, line);
}

static gru_status read_line(gru_loader *l, const option *o, const gru_metadata *line) {
    if (strcmp(o->name, "dropout") == 0) return read_dropout(l, line);
    if (strcmp(o->name, "initial_state") == 0) return read_initial_state(l, line);
    if (o->layer >= l->count)
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is of a layer that is not there: the GRU has %d",
                        line->source, line->key, l->count);
    const int32_t first = o->layer >= 0 ? (int32_t)o->layer : 0, end = o->layer >= 0 ? first + 1 : l->count;
    if (o->reverse) return read_reverse_line(&l->layers[first], o, line);
    for (int32_t k = first; k < end; k++)
        GRU_TRY(gru_variant_read(&l->layers[k].config, &l->layers[k].merge, o->field, line));
    return GRU_OK;
}

/* What holds for all layers, for one, or for one direction: whose lines are read. */
enum { ALL, LAYER, DIRECTION };

static gru_status read_lines(gru_loader *l, int whose) {
    const gru_file *file = l->file;
    const gru_name_start start = {l->name, l->prefix_length, "gru."};
    uint32_t i;
    option o;
    l->name[l->prefix_length] = '\0';
    for (const char *key = gru_file_first_key(file, start, &i); key;
         key = gru_file_next_key(file, start, &i)) {
        const gru_metadata line = {file->source, key, key + strlen(key) + 1};
        if (read_option(key + l->prefix_length + strlen("gru."), &o)) {
            if ((o.layer >= 0) + o.reverse == whose) GRU_TRY(read_line(l, &o, &line));
        } else if (!is_of_another(l, key)) {
            return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" names no option that this library knows",
                            file->source, key);
        }
    }
    return GRU_OK;
}

gru_status gru_load_variant(gru_loader *l) {
    for (uint32_t i = 0; i < l->file->key_count; i++) GRU_TRY(check_owner(l, gru_file_key(l->file, i)));
    GRU_TRY(read_lines(l, ALL));
    GRU_TRY(read_lines(l, LAYER));
    return read_lines(l, DIRECTION);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Which setting of a variable counts, and which settings are mistakes: places
 * are looked at from the strongest to the weakest (mca_base_var_source.c), in
 * each one the variable's own name before its synonyms. */
#include <stdio.h>
#include <string.h>

#include "framework/base/mca_base_var_table.h"

#define ORIGIN_MAX (MCA_BASE_DETAIL_MAX + 64)
#define SHOWN_MAX 204      /* Of the value that a message is about, ... */
#define SHOWN_PAIR_MAX 104 /* ... or of each of two. */

/* What one place says of a variable. */
typedef struct found_t {
    mca_base_var_t *entry; /* The variable, or the synonym that was used. NULL: it says nothing. */
    mca_base_setting_t setting;
} found_t;

static bool suppress_override_warning;
const mca_base_var_def_t mca_base_suppress_override_warning_def = {
    .name = "mca_base_suppress_override_warning",
    .help = "Do not warn where the override file fixes a variable that is set to something else as well.",
    .type = MCA_BASE_VAR_TYPE_BOOL,
    .info_level = 6,
    .storage = &suppress_override_warning,
};

static void describe_origin(const mca_base_setting_t *setting, char origin[ORIGIN_MAX])
{
    snprintf(origin, ORIGIN_MAX, "%s%s", mca_base_setting_origin(setting->source, setting->detail),
             setting->detail);
}

static bool find_for(mca_base_setting_rank_t rank, const mca_base_var_t *var, mca_base_var_t *entry,
                     found_t *found)
{
    if (!mca_base_setting_find(rank, entry->full_name, var->def.framework == NULL, &found->setting)) {
        return false;
    }
    found->entry = entry;
    return true;
}

static void find_at_rank(mca_base_setting_rank_t rank, mca_base_var_t *var, found_t *found)
{
    found->entry = NULL;
    for (mca_base_var_t *entry = var; entry != NULL; entry = entry->next) {
        if ((entry == var || entry->target == var) && find_for(rank, var, entry, found)) {
            return;
        }
    }
}

/* ---- Mistakes ------------------------------------------------------------------------------------ */

/* May anybody set it there? */
static int check_allowed(const mca_base_var_t *var, const found_t *found, mca_base_var_notes_t *notes)
{
    const mca_base_setting_t *setting = &found->setting;
    const char *fault = NULL;
    if (mca_base_var_is_fixed(&var->def)) {
        fault = "nothing can set it";
    } else if ((var->flags & MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY) != 0
               && setting->source != MCA_BASE_VAR_SOURCE_ENV) {
        fault = "it can be set in the environment only";
    }
    if (fault == NULL) {
        return OPAL_SUCCESS;
    }
    char origin[ORIGIN_MAX], shown[SHOWN_MAX];
    describe_origin(setting, origin);
    mca_base_var_show(setting->text, shown, sizeof shown);
    mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "variable %s is set to \"%s\" (%s), but %s",
                      found->entry->full_name, shown, origin, fault);
    return OPAL_ERR_BAD_PARAM;
}

/* Texts that cannot be parsed are the same where they are the same texts. */
static bool same_meaning(const mca_base_var_def_t *def, const char *a, const char *b)
{
    mca_base_var_value_t left, right;
    if (strcmp(a, b) == 0) {
        return true;
    }
    return def->type != MCA_BASE_VAR_TYPE_STRING && mca_base_var_parse(def, a, &left) == OPAL_SUCCESS
           && mca_base_var_parse(def, b, &right) == OPAL_SUCCESS
           && mca_base_var_same_value(def->type, &left, &right);
}

/* Two names of one variable say different things in one place. */
static int note_conflict(const found_t *used, found_t *other, mca_base_var_notes_t *notes)
{
    bool on_command_line = used->setting.source == MCA_BASE_VAR_SOURCE_COMMAND_LINE;
    char used_origin[ORIGIN_MAX], other_origin[ORIGIN_MAX];
    char used_text[SHOWN_PAIR_MAX], other_text[SHOWN_PAIR_MAX];
    describe_origin(&used->setting, used_origin);
    describe_origin(&other->setting, other_origin);
    mca_base_var_show(used->setting.text, used_text, sizeof used_text);
    mca_base_var_show(other->setting.text, other_text, sizeof other_text);
    if (on_command_line || !other->entry->conflict_warned) {
        mca_base_var_note(notes, on_command_line ? MCA_BASE_LOG_ERROR : MCA_BASE_LOG_WARN,
                          "%s and %s are one variable, but are set to \"%s\" (%s) and \"%s\" (%s)%s",
                          used->entry->full_name, other->entry->full_name, used_text, used_origin, other_text,
                          other_origin, on_command_line ? "" : "; the first counts");
    }
    other->entry->conflict_warned = true;
    return on_command_line ? OPAL_ERR_BAD_PARAM : OPAL_SUCCESS;
}

/* Do the other names say the same there? */
static int check_names_agree(mca_base_setting_rank_t rank, const mca_base_var_t *var, const found_t *used,
                             mca_base_var_notes_t *notes)
{
    found_t other;
    for (mca_base_var_t *entry = used->entry->next; entry != NULL; entry = entry->next) {
        if (entry->target != var || !find_for(rank, var, entry, &other)
            || same_meaning(&var->def, used->setting.text, other.setting.text)) {
            continue;
        }
        int rc = note_conflict(used, &other, notes);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    return OPAL_SUCCESS;
}

static void note_bad_value(const mca_base_var_t *var, const found_t *found, mca_base_var_notes_t *notes)
{
    char expected[MESSAGE_MAX / 2], origin[ORIGIN_MAX], shown[SHOWN_MAX];
    mca_base_var_expected(&var->def, expected, sizeof expected);
    mca_base_var_show(found->setting.text, shown, sizeof shown);
    describe_origin(&found->setting, origin);
    mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "variable %s cannot have the value \"%s\" (%s); expected %s",
                      found->entry->full_name, shown, origin, expected);
}

/* Its own setting is looked at, not its storage: other variables may be registered before it. */
static bool override_warning_is_suppressed(void)
{
    const mca_base_var_def_t *def = &mca_base_suppress_override_warning_def;
    mca_base_setting_t setting;
    mca_base_var_value_t value = { .boolean = false };
    for (mca_base_setting_rank_t rank = 0; rank < MCA_BASE_RANKS; rank++) {
        if (mca_base_setting_find(rank, def->name, true, &setting)) {
            return mca_base_var_parse(def, setting.text, &value) == OPAL_SUCCESS && value.boolean;
        }
    }
    return false;
}

static void note_override(mca_base_var_t *var, const found_t *used, const found_t *other,
                          mca_base_var_notes_t *notes)
{
    if (var->override_warned || same_meaning(&var->def, used->setting.text, other->setting.text)
        || override_warning_is_suppressed()) {
        return;
    }
    char used_origin[ORIGIN_MAX], other_origin[ORIGIN_MAX];
    char used_text[SHOWN_PAIR_MAX], other_text[SHOWN_PAIR_MAX];
    describe_origin(&used->setting, used_origin);
    describe_origin(&other->setting, other_origin);
    mca_base_var_show(used->setting.text, used_text, sizeof used_text);
    mca_base_var_show(other->setting.text, other_text, sizeof other_text);
    mca_base_var_note(notes, MCA_BASE_LOG_WARN, "variable %s is fixed to \"%s\" (%s); \"%s\" (%s) has no effect",
                      var->full_name, used_text, used_origin, other_text, other_origin);
    var->override_warned = true;
}

void mca_base_var_note_deprecated_locked(mca_base_var_t *entry, const char *origin, mca_base_var_notes_t *notes)
{
    if ((entry->flags & MCA_BASE_VAR_FLAG_DEPRECATED) == 0 || entry->warned) {
        return;
    }
    if (entry->target != NULL) {
        mca_base_var_note(notes, MCA_BASE_LOG_WARN, "the name %s (%s) is deprecated; use %s", entry->full_name,
                          origin, entry->target->full_name);
    } else {
        mca_base_var_note(notes, MCA_BASE_LOG_WARN, "variable %s (%s) is deprecated%s%s", entry->full_name, origin,
                          entry->def.help != NULL ? ": " : "", entry->def.help != NULL ? entry->def.help : "");
    }
    entry->warned = true;
}

static void note_deprecated(mca_base_var_t *var, const found_t *used, mca_base_var_notes_t *notes)
{
    char origin[ORIGIN_MAX];
    describe_origin(&used->setting, origin);
    mca_base_var_note_deprecated_locked(used->entry, origin, notes);
    if (used->entry != var) {
        mca_base_var_note_deprecated_locked(var, origin, notes);
    }
}

/* ---- The value ----------------------------------------------------------------------------------- */

/* The strongest setting, and the one behind it if the override file has the first. */
static int find_all(mca_base_var_t *var, found_t *best, found_t *second, mca_base_var_notes_t *notes)
{
    best->entry = NULL;
    second->entry = NULL;
    for (mca_base_setting_rank_t rank = 0; rank < MCA_BASE_RANKS; rank++) {
        found_t found;
        find_at_rank(rank, var, &found);
        if (found.entry == NULL) {
            continue;
        }
        int rc = check_allowed(var, &found, notes);
        /* Elsewhere than on the command line, contradictions matter only where they decide. */
        if (rc == OPAL_SUCCESS
            && (best->entry == NULL || found.setting.source == MCA_BASE_VAR_SOURCE_COMMAND_LINE)) {
            rc = check_names_agree(rank, var, &found, notes);
        }
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
        if (best->entry == NULL) {
            *best = found;
        } else if (second->entry == NULL) {
            *second = found;
        }
    }
    return OPAL_SUCCESS;
}

/* What mca_base_var_set() has put there stays, unless the override file forbids it. */
static void give(mca_base_var_t *var, const mca_base_setting_t *setting, mca_base_var_value_t value)
{
    var->given = (mca_base_var_state_t){
        .value = value,
        .source = setting->source,
        .for_open_mpi = setting->for_open_mpi,
    };
    memcpy(var->given.detail, setting->detail, sizeof var->given.detail);
    if (var->current.source != MCA_BASE_VAR_SOURCE_SET || setting->source == MCA_BASE_VAR_SOURCE_OVERRIDE) {
        mca_base_var_apply(var, &var->given);
    }
}

static int resolve(mca_base_var_t *var, mca_base_var_notes_t *notes)
{
    found_t best, second;
    int rc = find_all(var, &best, &second, notes);
    if (rc != OPAL_SUCCESS || best.entry == NULL) {
        return rc;
    }
    mca_base_var_value_t value;
    rc = mca_base_var_value_of(var, best.setting.text, &value);
    if (rc == OPAL_ERR_BAD_PARAM) {
        note_bad_value(var, &best, notes);
    }
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    give(var, &best.setting, value);
    note_deprecated(var, &best, notes);
    if (best.setting.source == MCA_BASE_VAR_SOURCE_OVERRIDE && second.entry != NULL) {
        note_override(var, &best, &second, notes);
    }
    return OPAL_SUCCESS;
}

int mca_base_var_resolve_locked(mca_base_var_t *var, mca_base_var_notes_t *notes)
{
    int rc = var->unset ? OPAL_SUCCESS : resolve(var, notes);
    var->resolved = rc != OPAL_ERR_OUT_OF_RESOURCE;
    var->refused = rc == OPAL_ERR_BAD_PARAM;
    if (var->refused) {
        mca_base_var_count_refused_locked();
    }
    return rc;
}

/* check_messages.h: what the code under test said on stderr, for tests that want to read it. */
#ifndef G2P_CHECK_MESSAGES_H
#define G2P_CHECK_MESSAGES_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct messages {
    int terminal; /* the stderr of before */
    FILE *file;
} messages;

static inline int messages_catch(messages *m) {
    m->file = tmpfile();
    m->terminal = dup(STDERR_FILENO);
    return m->file && m->terminal >= 0 && dup2(fileno(m->file), STDERR_FILENO) >= 0;
}

/* The beginning of what was said since the last call, and how many lines it was. */
static inline int messages_read(messages *m, char *text, size_t room) {
    int lines = 0;
    (void)fflush(stderr);
    (void)fseek(m->file, 0, SEEK_SET);
    const size_t length = fread(text, 1, room - 1, m->file);
    text[length] = '\0';
    for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
    if (ftruncate(fileno(m->file), 0) != 0) return -1;
    (void)fseek(m->file, 0, SEEK_SET);
    (void)lseek(STDERR_FILENO, 0, SEEK_SET);
    return lines;
}

static inline void messages_release(messages *m) {
    (void)fflush(stderr);
    (void)dup2(m->terminal, STDERR_FILENO);
    (void)close(m->terminal);
    (void)fclose(m->file);
}

#endif

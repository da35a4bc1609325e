/* curve.c: two panels over the epochs: the loss, and what of the watched words was wrong. */
#include "curve.h"

#include "atomic_file.h"

enum {
    WIDTH = 720,
    PANEL = 200,
    LEFT = 56,
    RIGHT = 150,
    TOP = 40,
    GAP = 46,
    HEIGHT = TOP + 2 * PANEL + GAP + 40
};

typedef struct panel {
    FILE *file;
    const progress *progress;
    int top;
    double most; /* what the upper edge stands for */
} panel;

static double across(const panel *p, int32_t epoch) {
    const int32_t count = p->progress->epochs;
    return LEFT + (double)(WIDTH - LEFT - RIGHT) * (count > 1 ? (double)epoch / (count - 1) : 0.5);
}

static double down(const panel *p, double value) {
    return p->top + PANEL * (1 - (value < p->most ? value / p->most : 1));
}

static void label(const panel *p, double x, double y, const char *anchor, const char *color,
                  const char *words) {
    fprintf(p->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor,
            color, words);
}

/* 1, 2 or 5 times a power of ten, so that there are at most five lines. */
static double distance_of_lines(double most) {
    double unit = 1e-6;
    for (int i = 0; most / unit > 5; i++) unit *= i % 3 == 1 ? 2.5 : 2;
    return unit;
}

static void grid(const panel *p, const char *title) {
    const double step = distance_of_lines(p->most);
    char words[32];
    label(p, LEFT, p->top - 10, "start", "#222", title);
    for (double value = 0; value <= p->most; value += step) {
        (void)snprintf(words, sizeof words, "%g", value);
        fprintf(p->file, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", LEFT, down(p, value), WIDTH - RIGHT);
        label(p, LEFT - 6, down(p, value) + 4, "end", "#666", words);
    }
}

/* One number of each epoch: the member at this offset of epoch_result, counted in floats. */
static void line(const panel *p, int member, const char *color, const char *name) {
    const progress *all = p->progress;
    char words[64];
    fprintf(p->file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", color);
    for (int32_t e = 0; e < all->epochs; e++)
        fprintf(p->file, "%.1f,%.1f ", across(p, e), down(p, (double)(&all->results[e].loss)[member]));
    fprintf(p->file, "\"/>\n");
    const double last = (double)(&all->results[all->epochs - 1].loss)[member];
    (void)snprintf(words, sizeof words, "%s %.*f", name, member ? 1 : 3, last);
    label(p, WIDTH - RIGHT + 8, down(p, last) + 4, "start", color, words);
}

static void draw(FILE *file, const progress *all) {
    const panel loss = {file, all, TOP, 1.5}, errors = {file, all, TOP + PANEL + GAP, 100};
    char last[32];
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"12\"><rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT);
    grid(&loss, "cross-entropy while training, nats per sound (mean of each epoch)");
    line(&loss, 0, "#2f7ed8", "loss");
    grid(&errors, "percent wrong of the watched words, greedy, stress ignored");
    line(&errors, 1, "#2b8a3e", "phonemes");
    line(&errors, 2, "#d9480f", "words");
    (void)snprintf(last, sizeof last, "epoch %d", all->epochs);
    label(&errors, across(&errors, 0), HEIGHT - 18, "middle", "#666", "epoch 1");
    if (all->epochs > 1)
        label(&errors, across(&errors, all->epochs - 1), HEIGHT - 18, "middle", "#666", last);
    fprintf(file, "</svg>\n");
}

int curve_draw(const char *path, const progress *p) {
    atomic_file output;
    if (p->epochs == 0) return 1;
    if (!atomic_file_open(&output, path)) return 0;
    draw(output.file, p);
    return atomic_file_close(&output);
}

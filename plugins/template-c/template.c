/* The smallest complete marsfm plugin in C: reads and writes trajectories in a plain text
 * format, .ptx. Copy it, rename it, put your format in its place.
 *
 *     cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -I include \
 *         plugins/template-c/template.c -o libmarsfm_plugin_template.so
 *
 * The format, with blanks between words, lengths in nm, times in ps, `-` for an empty word:
 *
 *     ptx 1 N                                  N atoms
 *     NAME ELEMENT RESIDUE NUMBER INSERTION CHAIN      N lines
 *     frame TIME                               then N lines `x y z`, and so on for each frame
 */
#include <marsfm_plugin.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the last error: one text per thread ------------------------------------------------- */

#if defined(__GNUC__)
#define PER_THREAD __thread
#else
#define PER_THREAD
#endif
static PER_THREAD char error_text[256];

static int32_t fail(int32_t status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return status;
}

static size_t last_error(char *buffer, size_t capacity) {
    size_t need = strlen(error_text) + 1;
    if (buffer != NULL && capacity > 0) {
        size_t n = need < capacity ? need - 1 : capacity - 1;
        memcpy(buffer, error_text, n);
        buffer[n] = '\0';
    }
    return need;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct marsfm_plugin_reader_t {
    FILE *file;
    size_t n_atoms;
    long start; /* where frame 0 begins */
    uint64_t next;
};

/* Atoms end up in `sink` unless it is NULL. */
static int32_t read_head(FILE *file, size_t *n_atoms, const marsfm_plugin_topology_sink_t *sink) {
    unsigned long n;
    if (fscanf(file, " ptx 1 %lu", &n) != 1 || n == 0) {
        return fail(MARSFM_PLUGIN_FORMAT, "line 1 is not `ptx 1 N` with N above 0");
    }
    for (unsigned long i = 0; i < n; i++) {
        char word[5][16];
        int number;
        if (fscanf(file, "%15s %15s %15s %d %15s %15s", word[0], word[1], word[2], &number,
                   word[3], word[4]) != 6) {
            return fail(MARSFM_PLUGIN_FORMAT, "atom %lu: not six words", i);
        }
        for (int w = 0; w < 5; w++) {
            if (strcmp(word[w], "-") == 0) word[w][0] = '\0';
        }
        if (sink != NULL) {
            marsfm_plugin_atom_t atom;
            atom.struct_size = sizeof atom;
            atom.name = word[0];
            atom.element = word[1];
            atom.residue_name = word[2];
            atom.residue_number = number;
            atom.insertion = word[3];
            atom.chain = word[4];
            atom.reserved = 0;
            int32_t status = sink->atom(sink->user_data, &atom);
            if (status != MARSFM_PLUGIN_OK) return fail(status, "stopped by the receiver");
        }
    }
    *n_atoms = n;
    return MARSFM_PLUGIN_OK;
}

static int32_t read_topology(const char *path, const marsfm_plugin_topology_sink_t *sink) {
    if (path == NULL || sink == NULL || sink->atom == NULL) {
        return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) return fail(MARSFM_PLUGIN_IO, "cannot be opened");
    size_t n_atoms;
    int32_t status = read_head(file, &n_atoms, sink);
    fclose(file);
    return status;
}

static int32_t open_reader(const char *path, marsfm_plugin_reader_t **out) {
    if (path == NULL || out == NULL) return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    marsfm_plugin_reader_t *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return fail(MARSFM_PLUGIN_IO, "out of memory");
    reader->file = fopen(path, "r");
    if (reader->file == NULL) {
        free(reader);
        return fail(MARSFM_PLUGIN_IO, "cannot be opened");
    }
    int32_t status = read_head(reader->file, &reader->n_atoms, NULL);
    if (status != MARSFM_PLUGIN_OK) {
        fclose(reader->file);
        free(reader);
        return status;
    }
    reader->start = ftell(reader->file);
    *out = reader;
    return MARSFM_PLUGIN_OK;
}

static int32_t reader_info(marsfm_plugin_reader_t *reader, marsfm_plugin_reader_info_t *info) {
    if (reader == NULL || info == NULL || info->struct_size < sizeof *info) {
        return fail(MARSFM_PLUGIN_INVALID, "NULL argument or too small a struct");
    }
    info->n_atoms = reader->n_atoms;
    info->n_frames = -1; /* not known without reading all */
    return MARSFM_PLUGIN_OK;
}

static int32_t read_frame(marsfm_plugin_reader_t *reader, marsfm_plugin_frame_t *frame) {
    if (reader == NULL || frame == NULL || frame->struct_size < sizeof *frame ||
        frame->xyz_nm == NULL) {
        return fail(MARSFM_PLUGIN_INVALID, "NULL argument or too small a struct");
    }
    if (frame->n_atoms != reader->n_atoms) {
        return fail(MARSFM_PLUGIN_MISMATCH, "room for %lu atoms, the file has %lu",
                    (unsigned long)frame->n_atoms, (unsigned long)reader->n_atoms);
    }
    double time_ps;
    int found = fscanf(reader->file, " frame %lf", &time_ps);
    if (found == EOF) return MARSFM_PLUGIN_END;
    if (found != 1) {
        return fail(MARSFM_PLUGIN_FORMAT, "frame %lu: no `frame TIME`", (unsigned long)reader->next);
    }
    for (size_t i = 0; i < 3 * frame->n_atoms; i++) {
        if (fscanf(reader->file, "%f", &frame->xyz_nm[i]) != 1) {
            return fail(MARSFM_PLUGIN_FORMAT, "frame %lu is cut off at atom %lu",
                        (unsigned long)reader->next, (unsigned long)(i / 3));
        }
    }
    frame->time_ps = time_ps;
    frame->flags = MARSFM_PLUGIN_HAS_TIME | MARSFM_PLUGIN_TIME_IS_TRUSTED;
    reader->next++;
    return MARSFM_PLUGIN_OK;
}

static int32_t seek_frame(marsfm_plugin_reader_t *reader, uint64_t index) {
    if (reader == NULL) return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    if (index < reader->next) {
        if (fseek(reader->file, reader->start, SEEK_SET) != 0) {
            return fail(MARSFM_PLUGIN_IO, "cannot go back");
        }
        reader->next = 0;
    }
    marsfm_plugin_frame_t frame;
    memset(&frame, 0, sizeof frame);
    frame.struct_size = sizeof frame;
    frame.n_atoms = reader->n_atoms;
    frame.xyz_nm = malloc(3 * reader->n_atoms * sizeof(float));
    if (frame.xyz_nm == NULL) return fail(MARSFM_PLUGIN_IO, "out of memory");
    int32_t status = MARSFM_PLUGIN_OK;
    while (reader->next < index && status == MARSFM_PLUGIN_OK) status = read_frame(reader, &frame);
    free(frame.xyz_nm);
    if (status == MARSFM_PLUGIN_END) return fail(MARSFM_PLUGIN_INVALID, "there is no such frame");
    return status;
}

static void close_reader(marsfm_plugin_reader_t *reader) {
    if (reader == NULL) return;
    fclose(reader->file);
    free(reader);
}

/* ---- writing ------------------------------------------------------------------------------ */

struct marsfm_plugin_writer_t {
    FILE *file;
    size_t n_atoms;
    uint64_t written;
};

static const char *word(const char *text) { return text[0] == '\0' ? "-" : text; }

static int32_t open_writer(const char *path, const marsfm_plugin_topology_t *topology,
                           marsfm_plugin_writer_t **out) {
    if (path == NULL || topology == NULL || out == NULL) {
        return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    }
    marsfm_plugin_writer_t *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return fail(MARSFM_PLUGIN_IO, "out of memory");
    writer->file = fopen(path, "w");
    if (writer->file == NULL) {
        free(writer);
        return fail(MARSFM_PLUGIN_IO, "cannot be created");
    }
    writer->n_atoms = topology->n_atoms;
    fprintf(writer->file, "ptx 1 %lu\n", (unsigned long)topology->n_atoms);
    for (size_t i = 0; i < topology->n_atoms; i++) {
        /* The rows may be longer than this plugin knows: step by their own size. */
        const char *row = (const char *)topology->atoms + i * topology->atoms->struct_size;
        const marsfm_plugin_atom_t *atom = (const marsfm_plugin_atom_t *)row;
        fprintf(writer->file, "%s %s %s %d %s %s\n", word(atom->name), word(atom->element),
                word(atom->residue_name), (int)atom->residue_number, word(atom->insertion),
                word(atom->chain));
    }
    *out = writer;
    return MARSFM_PLUGIN_OK;
}

static int32_t write_frame(marsfm_plugin_writer_t *writer, const marsfm_plugin_frame_t *frame) {
    if (writer == NULL || frame == NULL) return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    if (frame->n_atoms != writer->n_atoms) {
        return fail(MARSFM_PLUGIN_MISMATCH, "the frame has another number of atoms");
    }
    double time_ps = frame->flags & MARSFM_PLUGIN_HAS_TIME ? frame->time_ps : writer->written;
    fprintf(writer->file, "frame %.17g\n", time_ps);
    for (size_t i = 0; i < writer->n_atoms; i++) {
        const float *x = &frame->xyz_nm[3 * i];
        fprintf(writer->file, "%.9g %.9g %.9g\n", x[0], x[1], x[2]);
    }
    writer->written++;
    return ferror(writer->file) ? fail(MARSFM_PLUGIN_IO, "writing failed") : MARSFM_PLUGIN_OK;
}

static int32_t finish_writer(marsfm_plugin_writer_t *writer) {
    if (writer == NULL) return fail(MARSFM_PLUGIN_INVALID, "NULL argument");
    int bad = ferror(writer->file);
    bad |= fclose(writer->file);
    free(writer);
    return bad ? fail(MARSFM_PLUGIN_IO, "writing failed: is the disk full?") : MARSFM_PLUGIN_OK;
}

static void abort_writer(marsfm_plugin_writer_t *writer) {
    if (writer == NULL) return;
    fclose(writer->file);
    free(writer);
}

/* ---- the tables --------------------------------------------------------------------------- */

static const marsfm_plugin_format_t formats[] = {{
    sizeof(marsfm_plugin_format_t),
    "plain text trajectory",
    "ptx",
    MARSFM_PLUGIN_READS_FRAMES | MARSFM_PLUGIN_WRITES_FRAMES | MARSFM_PLUGIN_HAS_TOPOLOGY,
    0,
}};

static const marsfm_plugin_trajectory_service_t trajectory = {
    sizeof(marsfm_plugin_trajectory_service_t),
    sizeof formats / sizeof formats[0],
    formats,
    read_topology,
    open_reader,
    reader_info,
    read_frame,
    seek_frame,
    close_reader,
    open_writer,
    write_frame,
    finish_writer,
    abort_writer,
};

static const void *get_service(const char *id) {
    return id != NULL && strcmp(id, MARSFM_PLUGIN_TRAJECTORY_1) == 0 ? &trajectory : NULL;
}

static const marsfm_plugin_entry_t entry = {
    sizeof(marsfm_plugin_entry_t),
    MARSFM_PLUGIN_ABI_MAJOR,
    MARSFM_PLUGIN_ABI_MINOR,
    "template-c",
    "1.0.0",
    get_service,
    last_error,
};

const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) {
    return host != NULL && host->abi_major == MARSFM_PLUGIN_ABI_MAJOR ? &entry : NULL;
}

/* A program that is its own engine: short MD, a Markov model of it, jumps to new places, MD from
 * there, the model updated. marsfm never sees a file of the MD: frames are handed over from memory.
 *
 *     cc -std=c99 -O2 -Iinclude examples/c/adaptive.c -o adaptive \
 *         -Ltarget/release -lmarsfm -lm -Wl,-rpath,$PWD/target/release
 *     ln -sf libmarsfm.so target/release/libmarsfm.so.0     # ./x install does this for you
 *     ./adaptive [PEPTIDE.pdb [MODEL.safetensors]]
 *
 * The engine here is the smallest that is one: springs that keep bonds, angles and peptide planes,
 * soft spheres, Brownian motion. Its numbers mean nothing; what matters is what is called when. */

#include <marsfm.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 500           /* atoms */
#define RUNS 4             /* runs of an epoch */
#define EPOCHS 3           /* after the first */
#define FRAMES 260         /* frames of a run */
#define HEAD_PS 20.0       /* kept by nobody: MD right after a jump is not in equilibrium */
#define STEPS 100          /* of Brownian motion between frames, called 1 ps */
#define KT 2.91            /* kJ/mol at 350 K */
#define MOBILITY 1e-6      /* of a step, nm^2 mol/kJ */

static size_t n;
static char name[MOST][8], residue[MOST][8], chain[MOST][2];
static int number[MOST];
static double start_nm[3 * MOST];
static double rest_nm[MOST][MOST]; /* length of a spring; 0: none, -1: no force at all */
static unsigned long long state = 88172645463325252ull;

static void check(marsfm_status_t status)
{
    if (status != MARSFM_OK) {
        char text[1024];
        marsfm_last_error_message(text, sizeof text, NULL);
        fprintf(stderr, "%s: %s\n", marsfm_status_name(status), text);
        exit(1);
    }
}

/* xorshift, and a normal number by Box and Muller. */
static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2.0 * log(uniform())) * cos(6.283185307179586 * uniform());
}

static double distance(const double *x, size_t i, size_t j)
{
    double d[3];
    int k;
    for (k = 0; k < 3; k++)
        d[k] = x[3 * i + k] - x[3 * j + k];
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

static void read_pdb(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: cannot be opened; give a PDB file of one peptide\n", path);
        exit(1);
    }
    while (n < MOST && fgets(line, sizeof line, file) && strncmp(line, "ENDMDL", 6) != 0) {
        double x, y, z;
        if (strncmp(line, "ATOM", 4) != 0 || strlen(line) < 54)
            continue;
        if (sscanf(line + 12, "%4s", name[n]) != 1 || sscanf(line + 17, "%3s", residue[n]) != 1)
            continue;
        chain[n][0] = line[21];
        number[n] = atoi(line + 22);
        if (sscanf(line + 30, "%8lf%8lf%8lf", &x, &y, &z) != 3)
            continue;
        start_nm[3 * n] = x / 10.0;
        start_nm[3 * n + 1] = y / 10.0;
        start_nm[3 * n + 2] = z / 10.0;
        n++;
    }
    fclose(file);
}

/* Springs between bonded atoms, atoms bonded to one third atom, and neighbouring CA. */
static void make_springs(void)
{
    static int bonded[MOST][MOST];
    size_t i, j, k, l;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            int hydrogen = name[i][0] == 'H' || name[j][0] == 'H';
            bonded[i][j] = i != j && distance(start_nm, i, j) < (hydrogen ? 0.125 : 0.19);
        }
    for (i = 0; i < n; i++)
        for (j = 0; j < i; j++) {
            int spring = bonded[i][j], near = 0;
            for (k = 0; k < n; k++) {
                spring |= bonded[i][k] && bonded[k][j];
                for (l = 0; l < n; l++)
                    near |= bonded[i][k] && bonded[k][l] && bonded[l][j];
            }
            spring |= strcmp(name[i], "CA") == 0 && strcmp(name[j], "CA") == 0 &&
                      number[i] - number[j] == 1;
            rest_nm[i][j] = spring ? distance(start_nm, i, j) : near ? -1.0 : 0.0;
        }
}

/* Forces, kJ/mol/nm: springs of 20 MJ/mol/nm^2, spheres that push when they overlap. */
static void forces(const double *x, double *f)
{
    size_t i, j;
    int k;
    memset(f, 0, 3 * n * sizeof *f);
    for (i = 0; i < n; i++)
        for (j = 0; j < i; j++) {
            double r = rest_nm[i][j], d, push, touch;
            if (r < 0.0)
                continue;
            touch = name[i][0] == 'H' || name[j][0] == 'H' ? 0.19 : 0.27;
            d = distance(x, i, j);
            if (d < 1e-6 || (r == 0.0 && d >= touch))
                continue;
            push = (r > 0.0 ? 20000.0 * (r - d) : 5000.0 * (touch - d)) / d;
            for (k = 0; k < 3; k++) {
                double part = push * (x[3 * i + k] - x[3 * j + k]);
                f[3 * i + k] += part;
                f[3 * j + k] -= part;
            }
        }
}

/* One step; without noise it minimises. No coordinate moves by more than 0.01 nm. */
static void step(double *x, double noise)
{
    static double f[3 * MOST];
    size_t i;
    forces(x, f);
    for (i = 0; i < 3 * n; i++) {
        double move = MOBILITY * f[i] + noise * sqrt(2.0 * KT * MOBILITY) * normal();
        x[i] += move > 0.01 ? 0.01 : move < -0.01 ? -0.01 : move;
    }
}

static marsfm_xyz_in_t in_memory(const double *x)
{
    marsfm_xyz_in_t xyz = {0};
    xyz.struct_size = sizeof xyz;
    xyz.data_nm = x;
    xyz.n_atoms = n;
    xyz.dtype = MARSFM_F64;
    return xyz;
}

/* MD from `x`, which is minimised first; the last frame is left in it. */
static marsfm_trajectory_t *run_md(const marsfm_topology_t *topology, const char *what, double *x)
{
    marsfm_trajectory_t *run = NULL;
    int frame, k;
    for (k = 0; k < 500; k++)
        step(x, 0.0);
    check(marsfm_trajectory_new(topology, what, 1.0, HEAD_PS, &run));
    for (frame = 0; frame < FRAMES; frame++) {
        marsfm_xyz_in_t xyz = in_memory(x);
        for (k = 0; k < STEPS; k++)
            step(x, 1.0);
        check(marsfm_trajectory_append(run, &xyz, NULL));
    }
    return run;
}

static void tell(const marsfm_msm_t *msm, int epoch, unsigned md_ps)
{
    marsfm_msm_info_t info = {0};
    double ps[10] = {0}, *pi;
    size_t needed = 0, i;
    info.struct_size = sizeof info;
    check(marsfm_msm_info(msm, &info));
    check(marsfm_msm_timescales(msm, ps, 10, &needed));
    check(marsfm_msm_stationary(msm, NULL, 0, &needed));
    pi = malloc((needed + 1) * sizeof *pi);
    if (!pi)
        exit(1);
    check(marsfm_msm_stationary(msm, pi, needed, NULL));
    printf("epoch %d: %u ps of MD, %u frames counted, slowest timescale %.0f ps, populations",
           epoch, md_ps, (unsigned)info.n_frames, ps[0]);
    for (i = 0; i < needed; i++)
        printf(" %.2f", pi[i]);
    printf("\n");
    free(pi);
}

/* Of the usable samples, the one whose microstate MD has been in least; -1 if none is left. */
static int rarest(const marsfm_msm_t *msm, const marsfm_batch_t *batch, char *taken, double *x)
{
    static double frames[1000], at[3 * MOST];
    double least = 1e30;
    size_t i;
    int best = -1;
    check(marsfm_msm_populations(msm, MARSFM_MICROSTATES, frames, 1000, NULL));
    for (i = 0; i < marsfm_batch_size(batch); i++) {
        marsfm_sample_info_t sample = {0};
        marsfm_xyz_out_t room = {0};
        marsfm_xyz_in_t xyz = in_memory(at);
        int32_t micro = -1, macro = -1;
        double seen;
        sample.struct_size = sizeof sample;
        check(marsfm_batch_sample(batch, i, &sample));
        if (taken[i] || sample.status == MARSFM_SAMPLE_REJECTED)
            continue;
        room.struct_size = sizeof room;
        room.data_nm = at;
        room.n_atoms = n;
        room.dtype = MARSFM_F64;
        check(marsfm_batch_positions(batch, i, &room));
        check(marsfm_msm_assign(msm, &xyz, NULL, &micro, &macro));
        seen = micro < 0 ? 0.0 : frames[micro];
        if (seen < least) {
            least = seen;
            best = (int)i;
            memcpy(x, at, 3 * n * sizeof *x);
        }
    }
    if (best >= 0)
        taken[best] = 1;
    return best;
}

int main(int argc, char **argv)
{
    const char *pdb = argc > 1 ? argv[1] : "examples/data/QLAQ/QLAQ_full.pdb";
    marsfm_atom_t atoms[MOST] = {{0}};
    marsfm_topology_t *topology = NULL;
    marsfm_model_t *model = NULL;
    marsfm_session_t *session = NULL;
    marsfm_session_options_t session_options = {0};
    marsfm_msm_options_t options = {0};
    marsfm_msm_t *msm = NULL;
    marsfm_trajectory_t *runs[RUNS];
    static double x[RUNS][3 * MOST];
    unsigned md_ps = 0;
    size_t i;
    int epoch, r;

    read_pdb(pdb);
    make_springs();
    check(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR));
    for (i = 0; i < n; i++) {
        atoms[i].struct_size = sizeof atoms[i];
        atoms[i].name = name[i];
        atoms[i].residue_name = residue[i];
        atoms[i].chain = chain[i];
        atoms[i].residue_number = number[i];
    }
    check(marsfm_topology_new_from_atoms(atoms, n, &topology));
    check(marsfm_model_load(argc > 2 ? argv[2] : NULL, NULL, &model));
    session_options.struct_size = sizeof session_options;
    check(marsfm_session_new(model, topology, &session_options, &session));
    marsfm_model_free(model);

    /* The first epoch starts where the user does. Its features and microstates stay. */
    for (r = 0; r < RUNS; r++) {
        memcpy(x[r], start_nm, sizeof start_nm);
        runs[r] = run_md(topology, "start", x[r]);
        md_ps += FRAMES;
    }
    options.struct_size = sizeof options;
    options.tica_lag_ps = options.msm_lag_ps = options.pair_lag_ps = 5.0;
    options.n_microstates = 40;
    options.n_macrostates = 4;
    check(marsfm_msm_build_from_trajectories((const marsfm_trajectory_t *const *)runs, RUNS,
                                             &options, &msm));
    tell(msm, 0, md_ps);

    for (epoch = 1; epoch <= EPOCHS; epoch++) {
        marsfm_msm_t *updated = NULL;
        marsfm_msm_drift_t drift = {0};
        int made = 0;
        for (r = 0; r < RUNS; r++)
            marsfm_trajectory_free(runs[r]);
        /* Jumps from where each run ended; the place that MD has been in least is run. */
        for (r = 0; r < RUNS; r++) {
            marsfm_xyz_in_t xyz = in_memory(x[r]);
            marsfm_batch_t *batch = NULL;
            char taken[8] = {0};
            uint64_t seed = (uint64_t)(100 * epoch + r);
            marsfm_status_t status = marsfm_session_jump(session, &xyz, NULL, 8, seed, &batch);
            /* Springs do not know left from right, so once in a while an amino acid turns over and
             * cannot be jumped from. This run then starts where the user did. */
            if (status == MARSFM_ERROR_TOPOLOGY) {
                memcpy(x[r], start_nm, sizeof start_nm);
                status = marsfm_session_jump(session, &xyz, NULL, 8, seed, &batch);
            }
            check(status);
            if (rarest(msm, batch, taken, x[r]) >= 0)
                made++;
            marsfm_batch_free(batch);
            runs[r] = run_md(topology, "after a jump", x[r]);
            md_ps += FRAMES;
        }
        drift.struct_size = sizeof drift;
        check(marsfm_msm_update(msm, (const marsfm_trajectory_t *const *)runs, RUNS, &drift,
                                &updated));
        marsfm_msm_free(msm);
        msm = updated;
        tell(msm, epoch, md_ps);
        printf("         %d of %d runs began with a jump; %u microstates newly connected; distance "
               "of the new MD from the old, of 0.83: %.2f\n",
               made, RUNS, (unsigned)drift.newly_connected, drift.population_distance);
    }
    for (r = 0; r < RUNS; r++)
        marsfm_trajectory_free(runs[r]);
    marsfm_msm_free(msm);
    marsfm_session_free(session);
    marsfm_topology_free(topology);
    return 0;
}

// marsfm.hpp: values own and move their handles, failures throw with status and message, what C++
// reads is what C reads. wrapper PDB MODEL FOLDER TOPOLOGY TRAJECTORY...
#include <marsfm.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#define REQUIRE(condition)                                                                      \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);      \
            std::exit(1);                                                                       \
        }                                                                                       \
    } while (0)

template <class Call> void throws(marsfm_status_t status, const char *words, Call call)
{
    try {
        call();
    } catch (const marsfm::error &failure) {
        if (failure.status() != status || !std::strstr(failure.what(), words)) {
            std::fprintf(stderr, "expected `%s`, got: %s\n", words, failure.what());
            std::exit(1);
        }
        return;
    }
    std::fprintf(stderr, "nothing was thrown, expected `%s`\n", words);
    std::exit(1);
}

static std::vector<double> read_positions(const std::string &path)
{
    std::vector<double> xyz_nm;
    std::ifstream file(path.c_str());
    std::string line;
    while (std::getline(file, line))
        if (line.compare(0, 4, "ATOM") == 0)
            for (std::size_t k = 0; k < 3; k++)
                xyz_nm.push_back(std::atof(line.substr(30 + 8 * k, 8).c_str()) / 10.0);
    return xyz_nm;
}

static void jumps(const std::string &pdb, const std::string &model_path, const std::string &folder)
{
    marsfm::Topology topology = marsfm::Topology::from_file(pdb);
    REQUIRE(topology.sequence() == "QLAQ" && topology.info().n_residues == 4);
    marsfm::Model model(model_path);
    REQUIRE(model.info().lag_ps > 0.0 && model.text(MARSFM_MODEL_SHA256).size() == 64);
    marsfm_session_options_t options = marsfm::options<marsfm_session_options_t>();
    options.solver = MARSFM_SOLVER_EULER;
    options.solver_steps = 2;
    marsfm::Session session(model, topology, options);
    marsfm::Session moved = std::move(session);

    const std::vector<double> start_nm = read_positions(pdb);
    const std::size_t n = start_nm.size() / 3;
    std::vector<float> single(start_nm.begin(), start_nm.end());
    const marsfm::Batch batch = moved.jump(marsfm::Positions(start_nm), 5, 42);
    const marsfm::Batch of_floats = moved.jump(marsfm::Positions(single), 5, 42);
    marsfm::Job job = moved.submit(marsfm::Positions(start_nm), 5, 42);
    const marsfm::Batch of_job = job.get();
    throws(MARSFM_ERROR_ARGUMENT, "taken before", [&] { job.poll(); });
    REQUIRE(job.progress().first == 5 && batch.size() == 5 && batch.info().n_atoms == n);
    for (std::size_t i = 0; i < 5; i++) {
        const std::vector<double> x = batch.positions(i), y = of_floats.positions(i);
        REQUIRE(x == of_job.positions(i));
        std::vector<float> strided(4 * n, -7.0f);
        batch.positions(i, strided.data(), n, 4 * sizeof(float));
        for (std::size_t k = 0; k < x.size(); k++) {
            REQUIRE(std::fabs(x[k] - y[k]) < 1e-4);
            REQUIRE(strided[4 * (k / 3) + k % 3] == static_cast<float>(x[k]));
        }
        REQUIRE(strided[3] == -7.0f);
        REQUIRE(batch.sample(i).parent == -1 && batch.sample(i).id == i);
    }
    marsfm_tree_options_t shape = marsfm::options<marsfm_tree_options_t>();
    shape.roots = 3;
    shape.branching = 2;
    shape.depth = 2;
    shape.budget = 8;
    const marsfm::Batch tree = moved.tree(marsfm::Positions(start_nm), shape, 5);
    std::unique_ptr<marsfm::Batch> later;
    marsfm::Job growing = moved.submit_tree(marsfm::Positions(start_nm), shape, 5);
    while (!later)
        later = growing.poll(std::chrono::milliseconds(5));
    REQUIRE(later->size() == tree.size());
    marsfm::Job endless = moved.submit(marsfm::Positions(start_nm), 1000000, 5);
    endless.cancel();
    throws(MARSFM_ERROR_STOPPED, "cancelled", [&] { endless.get(); });

    for (std::size_t i = 0; i < 5; i++)
        if (batch.sample(i).status != MARSFM_SAMPLE_REJECTED)
            batch.write(folder + "/cpp.pdb", std::vector<std::size_t>(1, i));
    batch.write(folder + "/all.pdb");
    REQUIRE(std::ifstream((folder + "/all.pdb").c_str()).good());
    throws(MARSFM_ERROR_ARGUMENT, "no sample", [&] { batch.write(folder + "/x.pdb", {}); });
    throws(MARSFM_ERROR_COUNT, "topology of", [&] {
        moved.jump(marsfm::Positions(start_nm.data(), 3), 1, 1);
    });
    throws(MARSFM_ERROR_FILE, "none.pdb", [] { marsfm::Topology::from_file("none.pdb"); });
    throws(MARSFM_ERROR_MODEL, "", [&] { marsfm::Model broken(pdb); });
    throws(MARSFM_ERROR_DEVICE, "cuda", [&] { marsfm::Model far(model_path, "cuda:0"); });
}

static void states(const std::string &folder, const std::string &pdb,
                   const std::vector<std::string> &files)
{
    marsfm_msm_options_t options = marsfm::options<marsfm_msm_options_t>();
    options.n_microstates = 40;
    options.n_macrostates = 4;
    const marsfm::Topology topology = marsfm::Topology::from_file(pdb);
    const std::vector<double> frame = read_positions(pdb);
    const marsfm::Msm built = marsfm::Msm::build(pdb, files, options);
    const std::uint64_t n = built.info().n_macrostates;
    REQUIRE(built.transition_matrix().size() == n * n && built.stationary().size() == n);
    REQUIRE(built.timescales_ps().at(0) > 1.0);
    REQUIRE(built.populations(MARSFM_MICROSTATES).size() == built.info().n_microstates);
    built.save(folder + "/cpp.msm.safetensors");
    const marsfm::Msm loaded = marsfm::Msm::load(folder + "/cpp.msm.safetensors", topology,
                                                 marsfm::Positions(frame));
    REQUIRE(loaded.assign(marsfm::Positions(frame)) == built.assign(marsfm::Positions(frame)));

    std::vector<marsfm::Trajectory> runs;
    runs.push_back(marsfm::Trajectory::read(topology, files[0]));
    runs.push_back(marsfm::Trajectory(topology, "mine", 1.0, 2.0));
    for (int i = 0; i < 30; i++)
        runs[1].append(marsfm::Positions(frame));
    REQUIRE(runs[1].info().n_kept == 28);
    const marsfm::Msm of_runs = marsfm::Msm::build({&runs[0], &runs[1]}, options);
    REQUIRE(of_runs.info().n_frames == 1528);
    options.features = "backbone,rg-ss";
    const marsfm::Msm chosen = marsfm::Msm::build({&runs[0]}, options);
    options.features = "backbone";
    REQUIRE(chosen.info().n_features == marsfm::Msm::build(pdb, files, options).info().n_features + 3);
    REQUIRE(chosen.updated({&runs[1]}).info().n_features == chosen.info().n_features);
    marsfm_msm_drift_t drift = marsfm::options<marsfm_msm_drift_t>();
    const marsfm::Msm more = built.updated({&runs[1]}, &drift);
    REQUIRE(drift.frames_added == 28 && more.info().n_frames == built.info().n_frames + 28);
    throws(MARSFM_ERROR_ARGUMENT, "NULL", [&] { built.updated({nullptr}); });
    more.warnings();
}

/* A hop between two wells about every 50 frames; the second number is noise. */
static void rows()
{
    std::vector<std::vector<double>> runs(2);
    std::uint64_t seed = 7;
    double well = 1.0;
    for (std::vector<double> &run : runs) {
        for (int i = 0; i < 4000; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if ((seed >> 33) % 50 == 0)
                well = -well;
            run.push_back(well + 0.2 * (static_cast<double>((seed >> 40) % 1000) / 1000.0 - 0.5));
            run.push_back(static_cast<double>((seed >> 20) % 1000) / 1000.0);
        }
    }
    marsfm_msm_options_t options = marsfm::options<marsfm_msm_options_t>();
    options.frame_ps = 1.0;
    options.n_microstates = 20;
    options.n_macrostates = 2;
    const marsfm::Msm msm = marsfm::Msm::build_from_rows(runs, 2, options);
    REQUIRE(msm.info().n_frames == 8000 && msm.info().n_macrostates == 2);
    const std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> states =
        msm.assign_rows({-1.0, 0.5, 1.0, 0.5, -1.0, 0.1}, 2);
    REQUIRE(states.first.size() == 3 && states.second[0] == states.second[2]);
    REQUIRE(states.second[0] != states.second[1]);
    throws(MARSFM_ERROR_ARGUMENT, "n_features", [&] { msm.assign_rows({1.0, 2.0, 3.0}, 2); });
}

int main(int argc, char **argv)
{
    REQUIRE(argc > 5);
    marsfm::check_version();
    REQUIRE(marsfm::plugins().find("libmarsfm_plugin_xtc") != std::string::npos);
    jumps(argv[1], argv[2], argv[3]);
    states(argv[3], argv[4], std::vector<std::string>(argv + 5, argv + argc));
    rows();
    std::puts("wrapper: ok");
    return 0;
}

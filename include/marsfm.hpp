/* marsfm for C++11 and later: RAII over marsfm.h, header only, no ABI of its own.
 *
 * Handles are owned by values that can be moved; a failed call throws marsfm::error with the status
 * and the message of the library. Positions are views: float or double, any stride, so that
 * std::vector<float>, OpenMM's std::vector<Vec3> and GROMACS' rvec arrays need no copy.
 *
 * Jump, minimisation and new velocities do not satisfy detailed balance: see marsfm.h. */
#ifndef MARSFM_HPP
#define MARSFM_HPP

#include "marsfm.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace marsfm {

/** A failed call. */
class error : public std::runtime_error {
public:
    error(marsfm_status_t status, const std::string &message)
        : std::runtime_error(message), status_(status) {}
    /** One of MARSFM_ERROR_... */
    marsfm_status_t status() const noexcept { return status_; }

private:
    marsfm_status_t status_;
};

namespace detail {

inline std::string last_message()
{
    std::size_t size = 0;
    if (marsfm_last_error_message(nullptr, 0, &size) != MARSFM_OK || size < 2)
        return "no message";
    std::vector<char> text(size);
    if (marsfm_last_error_message(text.data(), size, nullptr) != MARSFM_OK)
        return "no message";
    return text.data();
}

inline void check(marsfm_status_t status)
{
    if (status != MARSFM_OK)
        throw error(status, std::string(marsfm_status_name(status)) + ": " + last_message());
}

/* A text from a function that takes (..., buffer, capacity, needed). */
template <class Call> std::string text(Call call)
{
    std::size_t size = 0;
    check(call(nullptr, 0, &size));
    std::vector<char> buffer(size);
    check(call(buffer.data(), size, nullptr));
    return std::string(buffer.data());
}

template <class Call> std::vector<double> numbers(Call call)
{
    std::size_t size = 0;
    check(call(nullptr, 0, &size));
    std::vector<double> values(size);
    if (size > 0)
        check(call(values.data(), size, nullptr));
    return values;
}

template <class Record> Record zeroed()
{
    Record record = Record();
    record.struct_size = sizeof(Record);
    return record;
}

template <class Handle, void (*Free)(Handle *)> struct Deleter {
    void operator()(Handle *handle) const noexcept { Free(handle); }
};

template <class Handle, void (*Free)(Handle *)>
using Owned = std::unique_ptr<Handle, Deleter<Handle, Free>>;

template <class T> struct Dtype;
template <> struct Dtype<float> {
    static constexpr std::int32_t value = MARSFM_F32;
};
template <> struct Dtype<double> {
    static constexpr std::int32_t value = MARSFM_F64;
};

} // namespace detail

/** A struct of marsfm.h, all zero but its struct_size: marsfm::options<marsfm_msm_options_t>(). */
template <class Record> Record options() { return detail::zeroed<Record>(); }

/** Checks that the library that is running serves this header; call it once, first. */
inline void check_version() { detail::check(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR)); }

/** What is known of plugins, JSON. */
inline std::string plugins() { return detail::text(marsfm_plugin_list); }

/** Path of the default model. */
inline std::string default_model() { return detail::text(marsfm_default_model_path); }

/** Positions that the caller lends: x, y, z of atom 0 at data, of atom i i strides behind. nm. */
class Positions {
public:
    template <class T>
    Positions(const T *data_nm, std::size_t n_atoms, std::size_t stride_bytes = 0)
        : raw_(detail::zeroed<marsfm_xyz_in_t>())
    {
        raw_.data_nm = data_nm;
        raw_.n_atoms = n_atoms;
        raw_.stride_bytes = stride_bytes;
        raw_.dtype = detail::Dtype<T>::value;
    }
    /** Three numbers per atom, packed. */
    template <class T>
    explicit Positions(const std::vector<T> &xyz_nm) : Positions(xyz_nm.data(), xyz_nm.size() / 3)
    {
        if (xyz_nm.size() % 3 != 0)
            throw error(MARSFM_ERROR_ARGUMENT, "positions: three numbers per atom are needed");
    }
    const marsfm_xyz_in_t *get() const noexcept { return &raw_; }

private:
    marsfm_xyz_in_t raw_;
};

/** Names and order of the caller's atoms. */
class Topology {
public:
    /** Each atom's struct_size must be set: start from marsfm::options<marsfm_atom_t>(). */
    explicit Topology(const std::vector<marsfm_atom_t> &atoms)
    {
        marsfm_topology_t *made = nullptr;
        detail::check(marsfm_topology_new_from_atoms(atoms.data(), atoms.size(), &made));
        handle_.reset(made);
    }
    static Topology from_file(const std::string &path)
    {
        marsfm_topology_t *made = nullptr;
        detail::check(marsfm_topology_new_from_file(path.c_str(), &made));
        return Topology(made);
    }
    marsfm_topology_info_t info() const
    {
        marsfm_topology_info_t info = detail::zeroed<marsfm_topology_info_t>();
        detail::check(marsfm_topology_info(get(), &info));
        return info;
    }
    std::string sequence() const
    {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return marsfm_topology_sequence(get(), buffer, capacity, needed);
        });
    }
    const marsfm_topology_t *get() const noexcept { return handle_.get(); }

private:
    explicit Topology(marsfm_topology_t *made) : handle_(made) {}
    detail::Owned<marsfm_topology_t, marsfm_topology_free> handle_;
};

/** A trained surrogate. Immutable. */
class Model {
public:
    /** The default model. */
    Model() { load(nullptr, nullptr); }
    explicit Model(const std::string &path, const std::string &device = "cpu")
    {
        load(path.c_str(), device.c_str());
    }
    marsfm_model_info_t info() const
    {
        marsfm_model_info_t info = detail::zeroed<marsfm_model_info_t>();
        detail::check(marsfm_model_info(get(), &info));
        return info;
    }
    /** One of MARSFM_MODEL_... */
    std::string text(std::int32_t which) const
    {
        return detail::text([this, which](char *buffer, std::size_t capacity, std::size_t *needed) {
            return marsfm_model_text(get(), which, buffer, capacity, needed);
        });
    }
    const marsfm_model_t *get() const noexcept { return handle_.get(); }

private:
    void load(const char *path, const char *device)
    {
        marsfm_model_options_t options = detail::zeroed<marsfm_model_options_t>();
        options.device = device;
        marsfm_model_t *made = nullptr;
        detail::check(marsfm_model_load(path, &options, &made));
        handle_.reset(made);
    }
    detail::Owned<marsfm_model_t, marsfm_model_free> handle_;
};

/** The samples of one request. Immutable. */
class Batch {
public:
    explicit Batch(marsfm_batch_t *takes) : handle_(takes) {}
    std::size_t size() const noexcept { return marsfm_batch_size(get()); }
    marsfm_batch_info_t info() const
    {
        marsfm_batch_info_t info = detail::zeroed<marsfm_batch_info_t>();
        detail::check(marsfm_batch_info(get(), &info));
        return info;
    }
    /** Origin and verdict of sample i. */
    marsfm_sample_info_t sample(std::size_t i) const
    {
        marsfm_sample_info_t sample = detail::zeroed<marsfm_sample_info_t>();
        detail::check(marsfm_batch_sample(get(), i, &sample));
        return sample;
    }
    /** Copies positions of sample i into the caller's memory; float or double, any stride. */
    template <class T>
    void positions(std::size_t i, T *data_nm, std::size_t n_atoms,
                   std::size_t stride_bytes = 0) const
    {
        marsfm_xyz_out_t room = detail::zeroed<marsfm_xyz_out_t>();
        room.data_nm = data_nm;
        room.n_atoms = n_atoms;
        room.stride_bytes = stride_bytes;
        room.dtype = detail::Dtype<T>::value;
        detail::check(marsfm_batch_positions(get(), i, &room));
    }
    /** Positions of sample i, nm, three numbers per atom. */
    std::vector<double> positions(std::size_t i) const
    {
        std::vector<double> xyz_nm(3 * info().n_atoms);
        positions(i, xyz_nm.data(), xyz_nm.size() / 3);
        return xyz_nm;
    }
    std::string domain_message() const
    {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return marsfm_batch_domain_message(get(), buffer, capacity, needed);
        });
    }
    /** Judges sample i after an engine has minimised it: see marsfm_batch_judge. */
    marsfm_seed_info_t judge(std::size_t i, const Positions &minimised,
                             const marsfm_minimised_t &energies,
                             const std::vector<marsfm_minimised_t> &ensemble) const
    {
        marsfm_seed_info_t seed = detail::zeroed<marsfm_seed_info_t>();
        detail::check(marsfm_batch_judge(get(), i, minimised.get(), &energies,
                                         ensemble.empty() ? nullptr : ensemble.data(),
                                         ensemble.size(), &seed));
        return seed;
    }
    /** Writes samples, or all that are not rejected, as a file of the format of the extension. */
    void write(const std::string &path) const
    {
        detail::check(marsfm_batch_write(get(), nullptr, 0, path.c_str()));
    }
    void write(const std::string &path, const std::vector<std::size_t> &samples) const
    {
        if (samples.empty())
            throw error(MARSFM_ERROR_ARGUMENT, "there is no sample to write");
        detail::check(marsfm_batch_write(get(), samples.data(), samples.size(), path.c_str()));
    }
    const marsfm_batch_t *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<marsfm_batch_t, marsfm_batch_free> handle_;
};

/** A request that a thread of the library works on. The destructor cancels it and waits. */
class Job {
public:
    explicit Job(marsfm_job_t *takes) : handle_(takes) {}
    /** Waits until the job has ended and hands out its result, once. */
    Batch get()
    {
        marsfm_batch_t *batch = nullptr;
        detail::check(marsfm_job_poll(handle_.get(), UINT32_MAX, &batch));
        return Batch(batch);
    }
    /** The result if there is one within the time, else NULL. */
    std::unique_ptr<Batch> poll(std::chrono::milliseconds timeout = std::chrono::milliseconds(0))
    {
        marsfm_batch_t *batch = nullptr;
        const auto most = static_cast<std::chrono::milliseconds::rep>(UINT32_MAX - 1);
        auto wait = timeout.count() < 0 ? 0 : timeout.count();
        wait = wait > most ? most : wait;
        const marsfm_status_t status =
            marsfm_job_poll(handle_.get(), static_cast<std::uint32_t>(wait), &batch);
        if (status == MARSFM_ERROR_PENDING)
            return nullptr;
        detail::check(status);
        return std::unique_ptr<Batch>(new Batch(batch));
    }
    /** Draws done, and the most that will be. */
    std::pair<std::uint64_t, std::uint64_t> progress() const
    {
        std::pair<std::uint64_t, std::uint64_t> both(0, 0);
        detail::check(marsfm_job_progress(handle_.get(), &both.first, &both.second));
        return both;
    }
    void cancel() { detail::check(marsfm_job_cancel(handle_.get())); }

private:
    detail::Owned<marsfm_job_t, marsfm_job_free> handle_;
};

/** A model bound to a topology; one thread at a time. box_nm: nine numbers, or NULL. */
class Session {
public:
    Session(const Model &model, const Topology &topology)
        : Session(model, topology, detail::zeroed<marsfm_session_options_t>()) {}
    Session(const Model &model, const Topology &topology, const marsfm_session_options_t &options)
    {
        marsfm_session_t *made = nullptr;
        detail::check(marsfm_session_new(model.get(), topology.get(), &options, &made));
        handle_.reset(made);
    }
    Batch jump(const Positions &start, std::size_t n, std::uint64_t rng_seed,
               const double *box_nm = nullptr)
    {
        marsfm_batch_t *batch = nullptr;
        detail::check(marsfm_session_jump(handle_.get(), start.get(), box_nm, n, rng_seed, &batch));
        return Batch(batch);
    }
    Batch tree(const Positions &start, const marsfm_tree_options_t &options, std::uint64_t rng_seed,
               const double *box_nm = nullptr)
    {
        marsfm_batch_t *batch = nullptr;
        detail::check(marsfm_session_tree(handle_.get(), start.get(), box_nm, &options, rng_seed,
                                          &batch));
        return Batch(batch);
    }
    /** The same jumps on a thread of the library; positions are copied. */
    Job submit(const Positions &start, std::size_t n, std::uint64_t rng_seed,
               const double *box_nm = nullptr)
    {
        marsfm_job_t *job = nullptr;
        detail::check(marsfm_session_submit(handle_.get(), start.get(), box_nm, n, rng_seed, &job));
        return Job(job);
    }
    Job submit_tree(const Positions &start, const marsfm_tree_options_t &options,
                    std::uint64_t rng_seed, const double *box_nm = nullptr)
    {
        marsfm_job_t *job = nullptr;
        detail::check(marsfm_session_submit_tree(handle_.get(), start.get(), box_nm, &options,
                                                 rng_seed, &job));
        return Job(job);
    }

private:
    detail::Owned<marsfm_session_t, marsfm_session_free> handle_;
};

/** Frames of one uninterrupted run; those within discard_ps of the first one do not count. */
class Trajectory {
public:
    Trajectory(const Topology &topology, const std::string &name, double frame_ps,
               double discard_ps = 0.0)
    {
        marsfm_trajectory_t *made = nullptr;
        detail::check(marsfm_trajectory_new(topology.get(), name.c_str(), frame_ps, discard_ps,
                                            &made));
        handle_.reset(made);
    }
    /** frame_ps: 0 to go by the file. */
    static Trajectory read(const Topology &topology, const std::string &path,
                           double frame_ps = 0.0, double discard_ps = 0.0)
    {
        marsfm_trajectory_t *made = nullptr;
        detail::check(marsfm_trajectory_read(topology.get(), path.c_str(), frame_ps, discard_ps,
                                             &made));
        return Trajectory(made);
    }
    void append(const Positions &frame, const double *box_nm = nullptr)
    {
        detail::check(marsfm_trajectory_append(handle_.get(), frame.get(), box_nm));
    }
    marsfm_trajectory_info_t info() const
    {
        marsfm_trajectory_info_t info = detail::zeroed<marsfm_trajectory_info_t>();
        detail::check(marsfm_trajectory_info(handle_.get(), &info));
        return info;
    }
    const marsfm_trajectory_t *get() const noexcept { return handle_.get(); }

private:
    explicit Trajectory(marsfm_trajectory_t *made) : handle_(made) {}
    detail::Owned<marsfm_trajectory_t, marsfm_trajectory_free> handle_;
};

/** A Markov model. Immutable. */
class Msm {
public:
    static Msm build(const std::string &topology_path, const std::vector<std::string> &trajectories,
                     const marsfm_msm_options_t &options = detail::zeroed<marsfm_msm_options_t>())
    {
        std::vector<const char *> paths;
        for (const std::string &path : trajectories)
            paths.push_back(path.c_str());
        marsfm_msm_t *made = nullptr;
        detail::check(marsfm_msm_build(topology_path.c_str(), paths.data(), paths.size(), &options,
                                       &made));
        return Msm(made);
    }
    static Msm build(const std::vector<const Trajectory *> &runs,
                     const marsfm_msm_options_t &options = detail::zeroed<marsfm_msm_options_t>())
    {
        const std::vector<const marsfm_trajectory_t *> raw = handles(runs);
        marsfm_msm_t *made = nullptr;
        detail::check(marsfm_msm_build_from_trajectories(raw.data(), raw.size(), &options, &made));
        return Msm(made);
    }
    /** Of a caller's own features: one row-major matrix per run, n_features numbers to a frame;
     * options.frame_ps must be set. States come from assign_rows. */
    static Msm build_from_rows(const std::vector<std::vector<double>> &runs, std::size_t n_features,
                               const marsfm_msm_options_t &options)
    {
        std::vector<const double *> rows;
        std::vector<std::size_t> lengths;
        for (const std::vector<double> &run : runs) {
            rows.push_back(run.data());
            lengths.push_back(frames_of(run, n_features));
        }
        marsfm_msm_t *made = nullptr;
        detail::check(marsfm_msm_build_from_rows(rows.data(), lengths.data(), runs.size(), n_features,
                                                 &options, &made));
        return Msm(made);
    }
    static Msm load(const std::string &path, const Topology &topology, const Positions &frame,
                    const double *box_nm = nullptr)
    {
        marsfm_msm_t *made = nullptr;
        detail::check(marsfm_msm_load(path.c_str(), topology.get(), frame.get(), box_nm, &made));
        return Msm(made);
    }
    void save(const std::string &path) const
    {
        detail::check(marsfm_msm_save(handle_.get(), path.c_str()));
    }
    /** The model with runs added; this one stays. */
    Msm updated(const std::vector<const Trajectory *> &runs, marsfm_msm_drift_t *drift = nullptr) const
    {
        const std::vector<const marsfm_trajectory_t *> raw = handles(runs);
        if (drift)
            drift->struct_size = sizeof *drift;
        marsfm_msm_t *made = nullptr;
        detail::check(marsfm_msm_update(handle_.get(), raw.data(), raw.size(), drift, &made));
        return Msm(made);
    }
    marsfm_msm_info_t info() const
    {
        marsfm_msm_info_t info = detail::zeroed<marsfm_msm_info_t>();
        detail::check(marsfm_msm_info(handle_.get(), &info));
        return info;
    }
    /** (microstate, macrostate) of a frame; -1: none. */
    std::pair<std::int32_t, std::int32_t> assign(const Positions &frame,
                                                 const double *box_nm = nullptr) const
    {
        std::pair<std::int32_t, std::int32_t> states(-1, -1);
        detail::check(marsfm_msm_assign(handle_.get(), frame.get(), box_nm, &states.first,
                                        &states.second));
        return states;
    }
    /** Microstates of rows of features, then their macrostates; -1: none. */
    std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>
    assign_rows(const std::vector<double> &rows, std::size_t n_features) const
    {
        const std::size_t n = frames_of(rows, n_features);
        std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> states;
        states.first.resize(n);
        states.second.resize(n);
        detail::check(marsfm_msm_assign_rows(handle_.get(), rows.data(), n, n_features,
                                             states.first.data(), states.second.data()));
        return states;
    }
    /** n x n probabilities between macrostates, row after row. */
    std::vector<double> transition_matrix() const { return read(marsfm_msm_transition_matrix); }
    std::vector<double> stationary() const { return read(marsfm_msm_stationary); }
    std::vector<double> timescales_ps() const { return read(marsfm_msm_timescales); }
    /** Frames of each state; MARSFM_MICROSTATES or MARSFM_MACROSTATES. */
    std::vector<double> populations(std::int32_t level) const
    {
        return detail::numbers([this, level](double *buffer, std::size_t capacity, std::size_t *needed) {
            return marsfm_msm_populations(handle_.get(), level, buffer, capacity, needed);
        });
    }
    std::string warnings() const
    {
        return detail::text([this](char *buffer, std::size_t capacity, std::size_t *needed) {
            return marsfm_msm_warnings(handle_.get(), buffer, capacity, needed);
        });
    }

private:
    explicit Msm(marsfm_msm_t *made) : handle_(made) {}
    template <class Function> std::vector<double> read(Function function) const
    {
        return detail::numbers([this, function](double *buffer, std::size_t capacity,
                                                std::size_t *needed) {
            return function(handle_.get(), buffer, capacity, needed);
        });
    }
    static std::size_t frames_of(const std::vector<double> &rows, std::size_t n_features)
    {
        if (n_features == 0 || rows.size() % n_features != 0)
            throw error(MARSFM_ERROR_ARGUMENT, "rows: n_features numbers per frame are needed");
        return rows.size() / n_features;
    }
    static std::vector<const marsfm_trajectory_t *>
    handles(const std::vector<const Trajectory *> &runs)
    {
        std::vector<const marsfm_trajectory_t *> raw;
        for (const Trajectory *run : runs)
            raw.push_back(run ? run->get() : nullptr);
        return raw;
    }
    detail::Owned<marsfm_msm_t, marsfm_msm_free> handle_;
};

} // namespace marsfm

#endif

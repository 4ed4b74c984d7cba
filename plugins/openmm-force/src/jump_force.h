// The Force that a System holds: what to jump with, and what has come of it.
#pragma once

#include <OpenMM.h>

#include <memory>
#include <string>
#include <vector>

namespace marsfm_openmm {

/** One atom as marsfm wants to know it. */
struct Atom {
    std::string name, element, residue, chain, insertion;
    int number = 0;
};

/** Everything that is serialised. */
struct Settings {
    long long interval_steps = 0;
    double temperature_kelvin = 0.0;
    long long draws = 8;
    long long rng_seed = 0;
    /** Empty: the default surrogate. */
    std::string model_path;
    std::vector<Atom> atoms;
};

/** What has come of the jumps. */
struct Report {
    unsigned long long due = 0, jumped = 0, refused = 0;
    long long last_step = -1;
};

class JumpForce : public OpenMM::Force {
public:
    /** Throws OpenMMException for settings that make no sense. */
    explicit JumpForce(Settings settings);

    const Settings &settings() const { return settings_; }
    const std::shared_ptr<Report> &report() const { return report_; }
    bool usesPeriodicBoundaryConditions() const override { return false; }

protected:
    OpenMM::ForceImpl *createImpl() const override;

private:
    Settings settings_;
    std::shared_ptr<Report> report_ = std::make_shared<Report>();
};

/** Registers how the force is written to XML and read back. */
void register_proxy();

} // namespace marsfm_openmm

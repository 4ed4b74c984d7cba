// Eight jumps of a peptide in C++: the same as examples/c/hello_jump.c.
//
// hello_jump [PDB [MODEL]]; without arguments, the peptide of examples/data and the default model.
// A file gives the atoms here; a program with atoms of its own fills a std::vector<marsfm_atom_t>.
#include <marsfm.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

// As an engine has them: doubles, x y z, one after the other.
typedef std::array<double, 3> Vec3;

static std::vector<Vec3> read_positions(const std::string &path)
{
    std::vector<Vec3> positions_nm;
    std::ifstream file(path.c_str());
    std::string line;
    while (std::getline(file, line) && line.compare(0, 6, "ENDMDL") != 0)
        if (line.size() >= 54 && (line.compare(0, 6, "ATOM  ") == 0 || line.compare(0, 6, "HETATM") == 0)) {
            Vec3 at;
            for (std::size_t k = 0; k < 3; k++)
                at[k] = std::atof(line.substr(30 + 8 * k, 8).c_str()) / 10.0;
            positions_nm.push_back(at);
        }
    return positions_nm;
}

int main(int argc, char **argv)
{
    try {
        const std::string pdb = argc > 1 ? argv[1] : "examples/data/QLAQ/QLAQ_full.pdb";
        marsfm::check_version();
        const marsfm::Topology topology = marsfm::Topology::from_file(pdb);
        const marsfm::Model model = argc > 2 ? marsfm::Model(argv[2]) : marsfm::Model();
        std::printf("%s: sequence %s; one jump is %g ps of MD\n", pdb.c_str(),
                    topology.sequence().c_str(), model.info().lag_ps);

        marsfm_session_options_t options = marsfm::options<marsfm_session_options_t>();
        options.temperature_kelvin = 350.0;
        marsfm::Session session(model, topology, options);

        const std::vector<Vec3> start_nm = read_positions(pdb);
        const marsfm::Positions start(start_nm[0].data(), start_nm.size(), sizeof start_nm[0]);
        marsfm::Job job = session.submit(start, 8, 42); // MD could go on here
        const marsfm::Batch batch = job.get();

        std::size_t usable = 0;
        for (std::size_t i = 0; i < batch.size(); i++) {
            const marsfm_sample_info_t sample = batch.sample(i);
            std::printf("sample %zu: %s, nearest pair %.3f nm\n", i,
                        sample.status == MARSFM_SAMPLE_REJECTED ? "rejected" : "can start MD",
                        sample.closest_contact_nm);
            if (sample.status == MARSFM_SAMPLE_REJECTED)
                continue;
            usable++;
            std::vector<Vec3> seed_nm(start_nm.size()); // ready for an engine
            batch.positions(i, seed_nm[0].data(), seed_nm.size());
        }
        std::printf("\n%zu of %zu jumps can start MD\n", usable, batch.size());
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}

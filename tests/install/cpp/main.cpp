// As ../hello.c, in C++ through find_package.
#include <marsfm.hpp>

#include <iostream>

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    try {
        marsfm::check_version();
        std::cout << "sequence " << marsfm::Topology::from_file(argv[1]).sequence() << "\n";
        std::cout << "model " << marsfm::Model().text(MARSFM_MODEL_SHA256) << "\n";
    } catch (const marsfm::error &e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}

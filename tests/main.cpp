// The main function of tests that one process runs.
#include "tests/session.hpp"

int main(int argc, char** argv) { return skipv1::test::run_session(argc, argv); }

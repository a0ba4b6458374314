// Catch2 for all tests: it is slow to compile. Version 3 is a library already.
#if __has_include(<catch2/catch.hpp>)
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#else
#include <catch2/catch_session.hpp>
#endif

#include "tests/session.hpp"

int skipv1::test::run_session(int argc, char** argv) { return Catch::Session().run(argc, argv); }

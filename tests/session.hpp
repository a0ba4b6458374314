// What a main function of tests calls; compiled once, in catch.cpp.
#pragma once

namespace skipv1::test {
/// Runs the tests that the arguments name; the number of those that failed.
int run_session(int argc, char** argv);
}  // namespace skipv1::test

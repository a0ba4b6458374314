// A few training steps in a memory space, and a kernel of the device vocabulary.
#pragma once

#include <string>
#include <vector>

/// Why `Space` cannot be used on this machine; empty if it can.
template <class Space>
std::string why_not();
/// The losses of three steps of a small model.
template <class Space>
std::vector<double> losses();
/// The name of the flavour that ran a kernel which used shared memory and a barrier, and what the kernel computed.
template <class Space>
std::string reversed(std::string text);

// Loads and stores of global memory that the emulator counts (emulator/traffic.cuh) and shows (emulator/watch.cuh). Compiled by
// nvcc they are plain ones.
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

#if defined(__CUDACC__)

/// One element, or N neighbouring ones aligned to their size, by one instruction.
template <class T>
SKIPV1_DEVICE T load_global(const T* from) {
  return *from;
}
template <std::size_t N, class T>
SKIPV1_DEVICE Vector<T, N> load_global(const T* from) {
  return load_vector<N>(from);
}
template <class T>
SKIPV1_DEVICE void store_global(T* to, T x) {
  *to = x;
}
template <class T, std::size_t N>
SKIPV1_DEVICE void store_global(T* to, const Vector<T, N>& x) {
  store_vector(to, x);
}

/// Tells whoever looks on (emulator/watch.cuh) what the variable called `name` is; by nvcc nothing.
template <class T>
SKIPV1_DEVICE void note_value(const char*, T) {}

#else

template <class T>
void note_value(const char* name, T x, emulator::Place place = emulator::Place::here()) {
  const emulator::Worker& worker = emulator::Worker::running();
  if (worker.watched())
    worker.tell({.kind = emulator::Step::Kind::value, .place = place, .what = name, .takes = static_cast<double>(x)});
}
template <class T>
T load_global(const T* from, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_global(emulator::Access::load, from, sizeof(T), place);
  return *from;
}
template <std::size_t N, class T>
Vector<T, N> load_global(const T* from, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_global(emulator::Access::load, from, sizeof(T) * N, place);
  return load_vector<N>(from);
}
template <class T>
void store_global(T* to, T x, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_global(emulator::Access::store, to, sizeof(T), place);
  *to = x;
}
template <class T, std::size_t N>
void store_global(T* to, const Vector<T, N>& x, emulator::Place place = emulator::Place::here()) {
  emulator::Worker::running().note_global(emulator::Access::store, to, sizeof(T) * N, place);
  store_vector(to, x);
}

#endif

}  // namespace skipv1::inline SKIPV1_FLAVOUR

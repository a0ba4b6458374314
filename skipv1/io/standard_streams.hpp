// Standard input, output and error where the caller has closed them.
#pragma once

#if !defined(_WIN32) && __has_include(<unistd.h>) && __has_include(<fcntl.h>)
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#endif

namespace skipv1 {

/// Opens what is closed of descriptors 0 to 2, so that none of the program's own files gets such a number and with it what is
/// meant for standard error. Reading and writing there fails as before.
inline void occupy_standard_streams() {
#ifdef F_GETFD
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one: those below are open by now.
    const int opened = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened != -1 && opened != descriptor) close(opened);
  }
#endif
}

/// Whether standard output can be written to, as far as can be known before.
inline bool stdout_is_open() {
#ifdef F_GETFD
  const int flags = fcntl(STDOUT_FILENO, F_GETFL);
  return flags != -1 && (flags & O_ACCMODE) != O_RDONLY;
#else
  return true;
#endif
}

}  // namespace skipv1

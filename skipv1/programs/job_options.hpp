// A job's settings as options of a program; compiled once, in library/job_options.cpp.
#pragma once

#include "skipv1/distributed/world.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/programs/job.hpp"

namespace skipv1 {

/// Whether a job's model is described by options, or is there already.
enum class ModelFrom { options, elsewhere };

/// Adds the options of a job; those about the model only with `ModelFrom::options`.
void add_job_options(CommandLine& app, Job& job, ModelFrom model);

/// Runs a job whose options are those of `app` on the processes of `world`. Throws if the folder holds a run that is not to be
/// resumed, if settings given differ from that run's, or if there is nothing to do.
void run_job(const Job& job, const CommandLine& app, const World& world);

}  // namespace skipv1

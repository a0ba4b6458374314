#include "skipv1/programs/job_options.hpp"

#include <set>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/open_text.hpp"
#include "skipv1/programs/option_names.hpp"

namespace skipv1 {

void add_job_options(CommandLine& app, Job& job, ModelFrom model) {
  app.add_option("--out", job.out, "folder of the run: checkpoints and logs")->required();
  each_setting(job, [&](About about, const char* name, auto& value, const char* help) {
    if (model != ModelFrom::options && (about == About::model || std::string_view(name) == "from")) return;
    const std::string flag = std::string("--") + name;
    Option* option = nullptr;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, bool>)
      option = app.add_flag(flag, value, help);
    else
      option = app.add_option(flag, value, help)->capture_default_str();
    if (flag == "--dtype") option->transform(lower_case());
    if (about != About::model) return;
    option->excludes("--from");  // the model is given: nothing of it is left to set
    if (flag != "--config") option->excludes("--config");
    if (flag == "--vocab") option->excludes("--tokenizer");
  });
  app.add_flag("--resume", job.resume, "go on from the last checkpoint in --out, if there is one; --out is enough then");
  add_threads_option(app, job.threads);
  app.add_option("--device", job.device, device_help)->capture_default_str();
  app.add_option("--json", job.json, "write the result into this file too; -: to standard output");
}

namespace {

/// Whether the command line has an option of that name.
bool given(const CommandLine& app, const std::string& option) {
  const Option* found = app.get_option_no_throw(option);
  return found && found->count() > 0;
}

/// Whether `--variant` names a table's file.
bool is_table(const std::string& name, const std::string& value) {
  return name == "variant" && std::filesystem::path(value).extension() == ".json";
}

/// A setting of the run to be resumed takes the place of the one asked for, which must be the same if it was given at all. Texts
/// and tables may lie elsewhere: what they hold is compared.
class Settings {
 public:
  Settings(JsonFields& stored, const CommandLine& app) : stored_(stored), app_(app) {}

  template <class T>
  void take(const std::string& name, T& value) {
    const T asked = value;
    const bool ids = name == "tokens" || name == "valid-tokens";  // runs of earlier versions have none
    stored_.read(setting_key(name), value, ids ? Presence::optional : Presence::required);
    const bool text = ids || name == "text" || name == "valid",
               place = text || name == "tokenizer" || name == "config" || name == "from";
    if constexpr (std::is_same_v<T, std::string>) {
      if (place) value = place_of(value).string();
      if (given(name)) {
        const bool content = text || is_table(name, asked);
        require(content || (place ? same_place(asked, value) : asked == value), option(name), " is ", asked,
                ", the run to be resumed has ", value.empty() ? "none" : value);
        if (content) value = asked;
      }
    } else {
      require(!given(name) || asked == value, option(name), " is ", asked, ", the run to be resumed has ", value,
              name == "steps" ? ": what it has learned goes on in a new run, with --from this one and no --resume" : "");
    }
  }
  bool given(const std::string& name) const { return skipv1::given(app_, option(name)); }

 private:
  /// skipv1-uptrain's model is an argument without a name.
  std::string option(const std::string& name) const {
    return name == "from" && !app_.get_option_no_throw("--from") ? "model" : "--" + name;
  }
  JsonFields& stored_;
  const CommandLine& app_;
};

/// Throws unless the configuration at `place` is the run's own; the line names the first key that differs.
void require_same_config(const std::string& place, const Json& found, const Json& own, const std::string& prefix = "") {
  std::set<std::string> keys;
  for (const Json* object : {&own, &found})
    for (const auto& item : object->items()) keys.insert(item.key());
  for (const std::string& key : keys) {
    const bool both = found.contains(key) && own.contains(key);
    if (both && found[key] == own[key]) continue;
    if (both && found[key].is_object() && own[key].is_object())
      require_same_config(place, found[key], own[key], prefix + key + '.');
    const auto value = [&](const Json& object) {
      return object.contains(key) ? detail::brief(object[key]) : std::string("not there");
    };
    fail(place, ": not the configuration of the run to be resumed: \"", prefix, key, "\" is ", value(found), ", the run's is ",
         value(own));
  }
}

/// Throws if the checkpoint's config.json is no longer what the run has written, which nothing else would notice, or if a file
/// that the command line names holds something else than when the run began. What the run goes on with lies in its checkpoint, so
/// nobody would read that file.
void require_same_files(const PreparedJob& p, const CommandLine& app) {
  const std::filesystem::path checkpoint = p.folder.checkpoint(*p.last);
  const std::filesystem::path own = checkpoint / "config.json";
  const Config config = read_config(own);
  if (p.config.is_object()) require_same_config(own.string(), read_config_as(own, parse_json), p.config);
  require(p.config_fingerprint.empty() || read_config_as(own, fingerprint) == p.config_fingerprint, own.string(),
          ": not what the run to be resumed has written: its fingerprint in run.json is another");
  if (given(app, "--variant") && is_table("variant", p.job.variant))
    require(read_table(p.job.variant) == config.attention.table, p.job.variant, ": not the table of the run to be resumed");
  if (given(app, "--config"))
    require_same_config(p.job.config, parse_json(config_text(read_config(p.job.config))), parse_json(config_text(config)));
  if (given(app, "--tokenizer")) {
    const Vocabulary vocabulary = open_vocabulary(p.job.tokenizer, config.vocab_size);
    const std::filesystem::path kept = checkpoint / vocabulary.file_name;
    require(std::filesystem::exists(kept) && load_bytes(kept) == vocabulary.content, p.job.tokenizer,
            ": not the vocabulary of the run to be resumed");
  }
}

/// Settings come from the last checkpoint.
void take_over(PreparedJob& p, const Json& stored, const CommandLine& app) {
  JsonFields root(stored);
  root.read("text_fingerprint", p.text_fingerprint);
  root.read("valid_fingerprint", p.valid_fingerprint);
  root.read("from_fingerprint", p.from_fingerprint, Presence::optional);
  root.read("config_fingerprint", p.config_fingerprint, Presence::optional);
  if (const Json* config = root.find("config", Presence::optional))
    root.expect(config->is_object(), "config", "an object", *config), p.config = *config;
  JsonFields fields(*root.find("settings"), "settings.");
  root.finish();
  Settings settings(fields, app);
  settings.take("strategy", p.job.strategy);
  each_setting(p.job, [&](About, const char* name, auto& value, const char*) { settings.take(name, value); });
  fields.finish();
  p.from_given = settings.given("from");
}

/// What connects the processes on their GPUs; null where it is host memory that they exchange, or where there is one process.
std::unique_ptr<Communicator> connect(const World& world, const std::string& device) {
  if (world.launched().by == Launched::By::nobody) return nullptr;
  if (device == "cuda") check_device(device, "f32");
  if (device == "cuda") return with_device(device, [&](auto space) { return communicator_on<decltype(space)>(world); });
  require(world.host() || world.size() == 1, "--device ", device, " of ", world.size(),
          " processes: over host memory MPI connects them, so start them by mpirun or srun");
  return nullptr;
}

/// Throws if an option is there that the variant does not read. In a configuration's file such a value has no effect
/// (docs/spec/models.md); on a command line it is a mistake.
void refuse_unread_options(const CommandLine& app, const std::string& variant) {
  const auto check = [&](const char* name, const auto& reads) {
    if (!given(app, name)) return;
    AttentionConfig chosen;
    choose_variant(chosen, variant);
    if (reads(find_variant(chosen.variant))) return;
    std::string others;
    for (const Variant& other : variants())
      if (reads(other)) others += (others.empty() ? "" : ", ") + other.name;
    fail(name, " with variant ", variant, ": only ", others, " has it");
  };
  check("--skip-ratio", [](const Variant& v) { return v.fields.skip_ratio; });
  check("--value-mix", [](const Variant& v) { return v.fields.value_mix; });
  for (const char* name : {"--kv-latent", "--rotary"}) check(name, [](const Variant& v) { return v.latent.count != 0; });
}

/// `job` with the settings of the run it resumes, checked.
PreparedJob prepare(const Job& job, const CommandLine& app, Communicator& world) {
  PreparedJob p{job, RunFolder(job.out), world};
  require_apart({{"--out", job.out}, {"--json", job.json}});
  if (world.first()) {
    require_writable_folder(job.out);
    if (std::filesystem::is_directory(job.out)) require_open_folder(job.out);  // else a run in it would not be seen
    if (!job.json.empty() && job.json != "-") require_writable(job.json);
    require_no_input(
        "--json", job.json,
        {{"--text", job.text}, {"--valid", job.valid}, {"--tokens", job.tokens}, {"--valid-tokens", job.valid_tokens}});
    const std::filesystem::path result = p.folder.path() / "result.json";
    if (std::filesystem::exists(result)) detail::require_replaceable(result, result_keys()), require_writable(result);
    p.lock.emplace(p.folder.lock());
    p.folder.hold();
  } else {
    p.job.json.clear();
  }
  p.last = last_step(p.folder, world);
  if (!p.last && world.first()) Log::require_replaceable(p.folder.path());
  if (job.resume && world.first()) p.folder.require_no_broken();
  p.length_given = p.last || given(app, "--length");
  require(!p.last || job.resume, job.out, ": holds a run already, at step ", p.last.value_or(0), ": --resume continues it");
  if (p.last) {
    const std::filesystem::path path = p.folder.checkpoint(*p.last) / "run.json";
    Source file(path);
    at_place(path.string(), [&] { take_over(p, parse_json(file.text(0, file.size())), app); });
    require_same_files(p, app);
  }
  if (world.first()) require_free_names(p.folder, p.last, p.job.run);
  require(!p.job.text.empty() || !p.job.tokens.empty() || !job.resume, job.out,
          ": no checkpoint to resume, and no --text or --tokens to start with");
  require_one_text(p.job.text, p.job.tokens);
  require(p.job.tokens.empty() || p.job.valid.empty(), "--valid goes with --text, --valid-tokens with --tokens");
  require(p.job.text.empty() || p.job.valid_tokens.empty(), "--valid-tokens goes with --tokens, --valid with --text");
  require(p.last || p.job.strategy.empty() || !p.job.from.empty(), job.out,
          ": no checkpoint to resume, and no model to start with");
  refuse_unread_options(app, p.job.variant);
  const bool trained = !p.last && p.job.tokens.empty() && p.job.tokenizer.empty() && p.job.config.empty() && p.job.from.empty();
  constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
  require(!trained || p.job.vocab == 256 || (p.job.vocab >= 260 && p.job.vocab <= most), "--vocab is ", p.job.vocab,
          ": must be 256 (bytes), or 260 (3 marks, 256 bytes, the space) and one more for each other character of the text, to ",
          most);
  require(p.job.run.log_every >= 1, "--log-every is 0: must be at least 1");
  check_device(p.job.device, p.job.dtype);
  require(!given(app, "--valid-share") || (p.job.valid.empty() && p.job.valid_tokens.empty()),
          "--valid-share: how much of --text or --tokens is held out, so without --valid and --valid-tokens");
  require(p.job.valid_share > 0 && p.job.valid_share < 1, "--valid-share is ", p.job.valid_share, ": must be above 0, below 1");
  in_option_names(training_fields, [&] { return part_of(p.job.run.training, world.size()); });
  return p;
}

}  // namespace

void run_job(const Job& job, const CommandLine& app, const World& world) {
  world.check();
  use_threads(job.threads || std::getenv("OMP_NUM_THREADS") || world.size() == 1 ? job.threads
                                                                                 : world.share_of_threads(threads()));
  const std::unique_ptr<Communicator> on_gpus = connect(world, job.device);
  Communicator& together = on_gpus ? *on_gpus : job.device != "cuda" && world.host() ? *world.host() : one_process();
  PreparedJob prepared = prepare(job, app, together);
  const std::string dtype = prepared.job.dtype, device = prepared.job.device;
  if (device == "cpu") return (dtype == "f64" ? run_double : run_float)(std::move(prepared));
  with_device(device, [&](auto space) {
    using Space = decltype(space);
    const auto run = dtype == "f32" ? run_f32_on<Space> : dtype == "f64" ? run_f64_on<Space> : run_bf16_on<Space>;
    run(std::move(prepared));
  });
}

}  // namespace skipv1

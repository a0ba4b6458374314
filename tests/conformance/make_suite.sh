#!/bin/sh
# Makes data/conformance: sh tests/conformance/make_suite.sh BIN [OUT], BIN the folder of skipv1-make-case and skipv1-make-negatives.
# Models are tiny, so that the whole suite is a few megabytes; sizes differ from case to case. Models of kernel sizes are drawn from
# their seeds by whoever reads them. Of tests/conformance/pytorch, `decoding.py --write` then computes the logits of decoding independently
# and `bounds.py --write` measures the bounds.
set -eu
bin=$1
out=${2:-$(cd "$(dirname "$0")/../.." && pwd)/data/conformance}
config=$(mktemp)
trap 'rm -f "$config"' EXIT

# one SEED NAME VARIANT H H_kv D FFN L TIED DTYPE [ATTENTION]: the architecture is NAME's first word. Seeds from 100 on are the best of a
# dozen: the one whose gradients bfloat16 moves least, so that bounds in bfloat16 can be narrow.
eps=1e-3 theta=1000 vocab=31 batch=2 length=7 positions=11 drawn= features= given=
one() {
  name=$2 tied=$9 dtype=${10} extra=${11:-}
  cat > "$config" <<JSON
{"architecture": "${name%%_*}", "vocab_size": $vocab, "hidden_size": $6, "intermediate_size": $7, "num_hidden_layers": $8,
 "num_attention_heads": $4, "num_key_value_heads": $5, "max_position_embeddings": $positions, "norm_epsilon": $eps, "rope_theta": $theta,
 "tie_word_embeddings": $tied, $features"attention": {"variant": "$3"$extra}}
JSON
  rm -rf "${out:?}/$name"
  "$bin/skipv1-make-case" "$config" --seed "$1" --batch $batch --length $length --dtype "$dtype" $drawn $given --out "$out/$name"
}
# old …: one of the first cases, whose numbers others have compared with: an epsilon of 1e-5, and heads of 2.
old() {
  eps=1e-5
  one "$@"
  eps=1e-3
}
# kernel SEED BATCH LENGTH NAME …: a model of the sizes that kernels take, drawn.
kernel() {
  seed=$1 batch=$2 length=$3 positions=160 vocab=64 theta=50000 drawn=--drawn
  shift 3
  one "$seed" "$@"
}
# with FEATURES COMMAND …: the same with more keys in its configuration.
with() {
  features="$1, "
  shift
  "$@"
  features=
}
# as_given COMMAND …: the case's config.json is the one that stands here, and leaves out what this one leaves out; those of the others
# spell every key out that the model has.
as_given() {
  given=--as-given
  "$@"
  given=
}
negative() { "$bin/skipv1-make-negatives" "$out/$1" $2; }

mkdir -p "$out"
one 102 llama_mha mha 3 3 24 9 2 false F64
one 111 llama_gqa gqa 6 3 24 9 3 true F32
one 100 llama_mqa mqa 4 1 32 10 3 true F64
old 4 llama_skipv1 skipv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.5'
one 100 llama_skipv1_quarter skipv1 6 6 24 10 3 false F32 ', "skip_ratio": 0.25'
one 102 llama_skipv1_none skipv1 3 3 24 9 2 true F32 ', "skip_ratio": 0'
one 100 llama_skipv1_all skipv1 3 3 24 9 3 true F32 ', "skip_ratio": 1'
old 8 llama_skipv1_grouped skipv1 6 3 12 10 3 false F64 ', "skip_ratio": 0.75'
one 100 llama_skipv1_source1 skipv1 6 3 24 10 4 true F32 ', "skip_ratio": 0.5, "source_layer": 1'
one 109 llama_skipv1_source2 skipv1 6 6 24 8 4 true F32 ', "skip_ratio": 0.5, "source_layer": 2'
old 11 llama_skipv1_source3 skipv1 3 3 6 7 6 true F32 ', "skip_ratio": 0.75, "source_layer": 3'
one 107 llama_skipv1_pooling skipv1 4 4 32 10 2 true F32 ', "injection": "pooling"'
one 105 llama_skipv1_dynamic skipv1 5 5 20 9 4 true F32 ', "skip_ratio": 0.75, "injection": "dynamic"'
one 105 llama_skipv1_odd_even skipv1 6 6 24 9 4 false F32 ', "skip_ratio": 0.5, "injection": "odd_even"'
one 105 llama_skipv1_resformer skipv1 5 5 20 9 3 true F64 ', "skip_ratio": 0.25, "injection": "resformer", "value_mix": 0.3'
one 107 llama_skipv0 skipv0 6 3 24 9 3 false F32 ', "skip_ratio": 0.75'
one 107 llama_svformer svformer 4 2 32 9 3 true F32
one 18 llama_yoco yoco 6 3 24 7 6 true F32
one 19 llama_yoco_v yoco_v 3 3 24 10 4 false F64
one 107 llama_cla cla 6 3 24 9 3 true F32
one 100 llama_cla_v cla_v 3 3 24 7 5 true F32
one 102 llama_skipkv1 skipkv1 6 3 24 10 3 true F64 ', "skip_ratio": 0.5'
one 100 llama_skipkv1_quarter skipkv1 5 5 20 9 3 false F32 ', "skip_ratio": 0.25'
old 24 llama_skipv1_yoco skipv1_yoco 6 6 12 8 4 true F32 ', "skip_ratio": 0.75'
one 105 llama_resformer resformer 4 2 32 9 3 true F32 ', "value_mix": 0.3'
one 107 llama_resformer_learned resformer 3 3 24 9 3 false F32 ', "value_mix": 0.5, "learn_value_mix": true'
one 102 llama_denseformer denseformer 4 2 32 9 3 true F32
one 100 llama_mla mla 3 3 15 10 2 true F64 ', "kv_latent_size": 10, "rotary_size": 8'
one 103 llama_skipv1_mla skipv1_mla 5 5 15 10 3 false F32 ', "kv_latent_size": 6, "rotary_size": 8'

one 107 gpt2_mha mha 5 5 15 10 2 true F32
one 107 gpt2_gqa gqa 6 3 12 9 2 true F64
one 102 gpt2_mqa mqa 5 1 20 10 2 true F32
one 100 gpt2_skipv1 skipv1 4 4 12 9 3 true F64 ', "skip_ratio": 0.5'
one 109 gpt2_skipv1_grouped skipv1 6 3 12 10 3 true F32 ', "skip_ratio": 0.75'
one 105 gpt2_skipv1_all skipv1 3 3 9 9 2 true F64 ', "skip_ratio": 1'
one 100 gpt2_skipv1_source1 skipv1 5 5 15 8 3 true F64 ', "skip_ratio": 0.25, "source_layer": 1'
one 107 gpt2_skipv1_source3 skipv1 6 3 6 7 5 true F32 ', "skip_ratio": 0.5, "source_layer": 3'
one 103 gpt2_skipv1_pooling skipv1 6 6 12 9 2 true F64 ', "injection": "pooling"'
one 102 gpt2_skipv1_dynamic skipv1 6 6 12 10 3 true F32 ', "skip_ratio": 0.5, "injection": "dynamic"'
one 105 gpt2_skipv1_odd_even skipv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.75, "injection": "odd_even"'
one 102 gpt2_skipv1_resformer skipv1 6 6 12 10 3 true F32 ', "skip_ratio": 0.5, "injection": "resformer", "value_mix": 0.7'
one 110 gpt2_skipv0 skipv0 5 5 10 9 3 true F64 ', "skip_ratio": 0.25'
one 100 gpt2_svformer svformer 5 5 10 9 3 true F32
one 109 gpt2_yoco yoco 6 6 12 9 2 true F32
one 100 gpt2_yoco_v yoco_v 6 3 12 8 4 true F32
one 107 gpt2_cla cla 3 3 9 8 5 true F32
one 103 gpt2_cla_v cla_v 6 3 12 9 2 true F32
one 102 gpt2_skipkv1 skipkv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.75'
one 105 gpt2_skipv1_yoco skipv1_yoco 6 3 12 8 4 true F32 ', "skip_ratio": 0.25'
one 105 gpt2_resformer resformer 5 5 10 9 3 true F64 ', "value_mix": 0.3'
one 100 gpt2_resformer_learned resformer 6 3 12 10 2 true F32 ', "value_mix": 0.5, "learn_value_mix": true'
one 111 gpt2_denseformer denseformer 5 5 10 9 4 true F32

# What the four old ones are about, with heads of 8; weights that bfloat16 holds exactly.
one 107 llama_skipv1_half skipv1 5 5 40 12 3 true BF16 ', "skip_ratio": 0.5'
one 103 llama_skipv1_grouped_half skipv1 6 3 48 12 3 false BF16 ', "skip_ratio": 0.5'
one 105 llama_skipv1_two_thirds skipv1 4 4 32 12 3 true BF16 ', "skip_ratio": 0.66'
one 108 llama_skipv1_source3_half skipv1 3 3 24 8 6 true BF16 ', "skip_ratio": 0.5, "source_layer": 3'
one 102 llama_skipv1_yoco_half skipv1_yoco 3 3 24 8 6 true BF16 ', "skip_ratio": 0.5'
one 100 gpt2_skipv1_half skipv1 5 5 40 12 3 true BF16 ', "skip_ratio": 0.5'

# What only some models of llama have. The numbers of rope_frequencies are none that anyone takes for granted, but in the last case.
with '"qkv_bias": true' one 105 llama_gqa_bias gqa 4 2 32 9 2 true F32
with '"qkv_bias": true, "o_bias": true, "mlp_bias": true' one 100 llama_skipv1_bias skipv1 4 4 32 9 3 false F64 ', "skip_ratio": 0.5'
with '"head_dim": 10' one 109 llama_skipv1_head_dim skipv1 3 3 16 12 3 true BF16 ', "skip_ratio": 0.5'
# Two skipped groups of two query heads each, so that their order shows: of one alone it does not.
with '"head_dim": 16' one 101 llama_skipv1_two_groups skipv1 8 4 32 12 3 true BF16 ', "skip_ratio": 0.5'
with '"head_dim": 8, "qk_norm": true' one 110 llama_skipv1_qk_norm skipv1 4 2 20 9 3 true BF16 ', "skip_ratio": 0.5'
with '"qkv_bias": true, "o_bias": true, "qk_norm": true' one 108 llama_skipkv1_qk_norm skipkv1 3 3 24 9 3 false F64 ', "skip_ratio": 0.5'
with '"qk_norm": true' one 109 llama_yoco_qk_norm yoco 4 2 32 9 4 true F32
rope='"rope_frequencies": {"factor": 3,'
with "$rope \"kind\": \"linear\"}" one 105 llama_skipv1_linear skipv1 4 4 32 9 2 true F32 ', "skip_ratio": 0.5'
rope="$rope \"original_max_position_embeddings\": 40,"
with "$rope \"kind\": \"llama3\", \"low_freq_factor\": 0.3, \"high_freq_factor\": 3}" \
  one 111 llama_skipv1_llama3 skipv1 3 3 48 9 3 true F32 ', "skip_ratio": 0.5'
rope="$rope \"kind\": \"yarn\", \"beta_fast\": 1.5, \"beta_slow\": 0.1"
with "$rope}" one 107 llama_mha_yarn mha 2 2 32 9 2 true F64
with "$rope, \"attention_factor\": 1.3, \"truncate\": false}" one 104 llama_skipv1_yarn skipv1 4 2 64 9 3 false F32 ', "skip_ratio": 0.5'
with "\"head_dim\": 4, \"o_bias\": true, \"mlp_bias\": true, $rope}" \
  one 106 llama_skipv1_mla_yarn skipv1_mla 5 5 15 10 3 true F32 ', "kv_latent_size": 6, "rotary_size": 8'

# Optional keys left out, so that defaults show.
rope='"rope_frequencies": {"kind": "yarn", "factor"'
with "$rope: 3, \"original_max_position_embeddings\": 2048}" as_given one 100 llama_skipv1_defaults skipv1 4 4 64 9 2 true BF16
as_given one 101 gpt2_resformer_defaults resformer 3 3 12 9 2 true F32
as_given one 110 gpt2_skipv1_resformer_defaults skipv1 4 4 12 9 2 true F32 ', "injection": "resformer"'

# Rules that only few numbers show: H_own of a ratio that is a half in decimals alone, pooling of an odd number of heads, and what
# becomes of yarn's ramp where its start is below 0 (clamped), its ends are equal, both are below 0, both above the last pair.
one 100 gpt2_skipv1_decimal skipv1 25 25 25 9 2 true F32 ', "skip_ratio": 0.14'
one 105 llama_skipv1_pooling_odd skipv1 5 5 20 9 2 true F32 ', "injection": "pooling"'
yarn() {
  ends="$rope: $1, \"original_max_position_embeddings\": 40, \"beta_fast\": $2, \"beta_slow\": $3}"
  shift 3
  with "$ends" "$@"
}
yarn 3 32 1e-5 one 106 llama_skipv1_yarn_clamped skipv1 3 3 24 9 2 true F32 ', "skip_ratio": 0.5'
yarn 0.8 32 10 as_given one 104 llama_mha_yarn_equal mha 2 2 16 9 2 true F32
yarn 3 200 100 one 109 llama_mqa_yarn_below mqa 2 1 16 9 2 true F32
yarn 3 1e-6 1e-7 one 105 llama_gqa_yarn_above gqa 4 2 32 9 2 true F32

kernel 59 2 130 llama_skipv1_d64 skipv1 4 4 256 96 3 true BF16 ', "skip_ratio": 0.5'
kernel 60 2 65 llama_skipv1_grouped_d64 skipv1 4 2 256 96 2 false BF16 ', "skip_ratio": 0.5'
kernel 61 1 130 llama_skipv1_d80 skipv1 3 3 240 96 2 true BF16 ', "skip_ratio": 0.5'
kernel 62 1 65 llama_skipv1_grouped_d128 skipv1 4 2 512 128 2 true BF16 ', "skip_ratio": 0.5'
kernel 63 1 127 llama_mqa_d128 mqa 2 1 256 96 2 true BF16
kernel 64 1 129 llama_yoco_d64 yoco 4 2 256 96 4 true BF16
kernel 65 2 66 llama_skipkv1_d80 skipkv1 2 2 160 96 2 true BF16 ', "skip_ratio": 0.5'
kernel 66 1 65 llama_skipv1_mla_d64 skipv1_mla 4 4 256 96 2 true BF16 ', "kv_latent_size": 128, "rotary_size": 32'
kernel 67 1 129 gpt2_skipv1_d64 skipv1 4 4 256 96 2 true BF16 ', "skip_ratio": 0.5'
with '"head_dim": 128, "qk_norm": true' kernel 68 1 65 llama_skipv1_qk_norm_d128 skipv1 4 2 256 96 2 true BF16 ', "skip_ratio": 0.5'
with '"qkv_bias": true, "rope_frequencies": {"kind": "llama3", "factor": 8, "original_max_position_embeddings": 64, "low_freq_factor": 1,
 "high_freq_factor": 4}' kernel 69 1 130 llama_skipv1_llama3_d64 skipv1 4 2 256 96 2 true BF16 ', "skip_ratio": 0.5'

negative llama_skipv1 "wrong_half wrong_scale unaligned_mask"
negative llama_skipv1_source1 wrong_source
negative llama_skipv1_grouped interleaved_reuse
negative llama_skipv1_dynamic counted_from_one
negative llama_skipv1_odd_even counted_from_one
negative llama_gqa interleaved_groups
negative llama_yoco "wrong_source rotated_twice"
negative llama_cla rotated_twice
negative llama_skipkv1 rotated_twice
negative llama_mla wrong_scale
negative llama_resformer mix_swapped
negative llama_skipv1_resformer mix_swapped
negative llama_denseformer averaged_averages
negative gpt2_skipv1 "wrong_half bias_left_out unaligned_mask"
negative gpt2_gqa wrong_scale

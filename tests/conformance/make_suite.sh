#!/bin/sh
# Makes data/conformance: sh tests/conformance/make_suite.sh BIN [OUT], BIN the folder of skipv1-make-case and skipv1-make-negatives.
# Models are tiny, so that the whole suite is a few megabytes; sizes differ from case to case.
set -eu
bin=$1
out=${2:-$(cd "$(dirname "$0")/../.." && pwd)/data/conformance}
seed=0
config=$(mktemp)
trap 'rm -f "$config"' EXIT

# one NAME VARIANT H H_kv D FFN L TIED DTYPE [ATTENTION]: the architecture is NAME's first word; every case has a seed of its own.
one() {
  name=$1 tied=$8 extra=${10:-}
  seed=$((seed + 1))
  cat > "$config" <<JSON
{"architecture": "${name%%_*}", "vocab_size": 31, "hidden_size": $5, "intermediate_size": $6, "num_hidden_layers": $7,
 "num_attention_heads": $3, "num_key_value_heads": $4, "max_position_embeddings": 11, "norm_epsilon": 1e-5, "rope_theta": 1000,
 "tie_word_embeddings": $tied, "attention": {"variant": "$2"$extra}}
JSON
  rm -rf "${out:?}/$name"
  "$bin/skipv1-make-case" "$config" --seed "$seed" --batch 2 --length 7 --dtype "$9" --out "$out/$name"
}
negative() { "$bin/skipv1-make-negatives" "$out/$1" $2; }

mkdir -p "$out"
one llama_mha mha 5 5 10 9 2 false F64
one llama_gqa gqa 6 3 12 9 3 true F32
one llama_mqa mqa 6 1 12 10 3 true F64
one llama_skipv1 skipv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.5'
one llama_skipv1_quarter skipv1 6 6 12 10 3 false F32 ', "skip_ratio": 0.25'
one llama_skipv1_none skipv1 3 3 12 9 2 true F32 ', "skip_ratio": 0'
one llama_skipv1_all skipv1 3 3 12 9 3 true F32 ', "skip_ratio": 1'
one llama_skipv1_grouped skipv1 6 3 12 10 3 false F64 ', "skip_ratio": 0.75'
one llama_skipv1_source1 skipv1 6 3 12 10 4 true F32 ', "skip_ratio": 0.5, "source_layer": 1'
one llama_skipv1_source2 skipv1 6 6 12 8 4 true F32 ', "skip_ratio": 0.5, "source_layer": 2'
one llama_skipv1_source3 skipv1 3 3 6 7 6 true F32 ', "skip_ratio": 0.75, "source_layer": 3'
one llama_skipv1_pooling skipv1 4 4 16 10 2 true F32 ', "injection": "pooling"'
one llama_skipv1_dynamic skipv1 5 5 10 9 4 true F32 ', "skip_ratio": 0.75, "injection": "dynamic"'
one llama_skipv1_odd_even skipv1 6 6 12 9 4 false F32 ', "skip_ratio": 0.5, "injection": "odd_even"'
one llama_skipv1_resformer skipv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.25, "injection": "resformer", "value_mix": 0.3'
one llama_skipv0 skipv0 6 3 12 9 3 false F32 ', "skip_ratio": 0.75'
one llama_svformer svformer 6 3 12 9 3 true F32
one llama_yoco yoco 6 3 12 7 6 true F32
one llama_yoco_v yoco_v 6 6 12 10 2 false F64
one llama_cla cla 6 3 12 9 3 true F32
one llama_cla_v cla_v 3 3 12 7 5 true F32
one llama_skipkv1 skipkv1 6 3 12 10 3 true F64 ', "skip_ratio": 0.5'
one llama_skipkv1_quarter skipkv1 5 5 10 9 3 false F32 ', "skip_ratio": 0.25'
one llama_skipv1_yoco skipv1_yoco 6 6 12 8 4 true F32 ', "skip_ratio": 0.75'
one llama_resformer resformer 6 3 12 9 3 true F32 ', "value_mix": 0.3'
one llama_resformer_learned resformer 3 3 12 9 3 false F32 ', "value_mix": 0.5, "learn_value_mix": true'
one llama_denseformer denseformer 6 3 12 9 3 true F32
one llama_mla mla 3 3 15 10 2 true F64 ', "kv_latent_size": 10, "rotary_size": 4'
one llama_skipv1_mla skipv1_mla 5 5 15 10 3 false F32 ', "kv_latent_size": 6, "rotary_size": 6'

one gpt2_mha mha 5 5 15 10 2 true F32
one gpt2_gqa gqa 6 3 12 9 2 true F64
one gpt2_mqa mqa 5 1 20 10 2 true F32
one gpt2_skipv1 skipv1 4 4 12 9 3 true F64 ', "skip_ratio": 0.5'
one gpt2_skipv1_grouped skipv1 6 3 12 10 3 true F32 ', "skip_ratio": 0.75'
one gpt2_skipv1_all skipv1 3 3 9 9 2 true F64 ', "skip_ratio": 1'
one gpt2_skipv1_source1 skipv1 5 5 15 8 3 true F64 ', "skip_ratio": 0.25, "source_layer": 1'
one gpt2_skipv1_source3 skipv1 6 3 6 7 5 true F32 ', "skip_ratio": 0.5, "source_layer": 3'
one gpt2_skipv1_pooling skipv1 6 6 12 9 2 true F64 ', "injection": "pooling"'
one gpt2_skipv1_dynamic skipv1 6 6 12 10 3 true F32 ', "skip_ratio": 0.5, "injection": "dynamic"'
one gpt2_skipv1_odd_even skipv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.75, "injection": "odd_even"'
one gpt2_skipv1_resformer skipv1 6 6 12 10 3 true F32 ', "skip_ratio": 0.5, "injection": "resformer", "value_mix": 0.7'
one gpt2_skipv0 skipv0 5 5 10 9 3 true F64 ', "skip_ratio": 0.25'
one gpt2_svformer svformer 5 5 10 9 3 true F32
one gpt2_yoco yoco 6 6 12 9 2 true F32
one gpt2_yoco_v yoco_v 6 3 12 8 4 true F32
one gpt2_cla cla 3 3 9 8 5 true F32
one gpt2_cla_v cla_v 6 3 12 9 2 true F32
one gpt2_skipkv1 skipkv1 5 5 10 9 3 true F64 ', "skip_ratio": 0.75'
one gpt2_skipv1_yoco skipv1_yoco 6 3 12 8 4 true F32 ', "skip_ratio": 0.25'
one gpt2_resformer resformer 5 5 10 9 3 true F64 ', "value_mix": 0.3'
one gpt2_resformer_learned resformer 6 3 12 10 2 true F32 ', "value_mix": 0.5, "learn_value_mix": true'
one gpt2_denseformer denseformer 5 5 10 9 4 true F32

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

# skipv1-export: what it writes is the same model when it is read again, whatever transformers calls it; where it fails it leaves
# nothing behind.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
foreach(pair llama_mha:llama llama_gqa:llama llama_mqa:llama gpt2_mha:gpt2 gpt2_gqa:skipv1 llama_skipv1_grouped:skipv1 llama_mla:skipv1
    gpt2_skipv1_yoco:skipv1 llama_denseformer:skipv1)
  string(REGEX MATCH "(.*):(.*)" pair ${pair})
  set(case ${CMAKE_MATCH_1})
  set(type ${CMAKE_MATCH_2})
  set(folder ${CASES}/${case})
  execute_process(COMMAND ${EXPORT} ${folder} --out ${WORK}/export_${case} --dtype F64 OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${RUN} ${WORK}/export_${case} --tokens ${folder}/tokens.npy --targets ${folder}/targets.npy
    --out ${WORK}/${case} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CHECK} ${folder} --actual ${WORK} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${WORK}/export_${case}/config.json config)
  string(JSON found GET "${config}" model_type)
  if(NOT found STREQUAL type)
    message(FATAL_ERROR "${case}: model_type ${found}, expected ${type}")
  endif()
  if(type STREQUAL skipv1)
    execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${MODEL} ${WORK}/export_${case}/modeling_skipv1.py
      COMMAND_ERROR_IS_FATAL ANY)
  elseif(EXISTS ${WORK}/export_${case}/modeling_skipv1.py)
    message(FATAL_ERROR "${case}: a model file that transformers does not need")
  endif()
endforeach()

# What says how text becomes tokens goes along, unread and unchanged.
file(COPY ${CASES}/llama_mha DESTINATION ${WORK}/with)
set(beside tokenizer.json tokenizer.model tokenizer_config.json special_tokens_map.json generation_config.json)
foreach(name IN LISTS beside)
  file(WRITE ${WORK}/with/llama_mha/${name} "what ${name} holds\n")
endforeach()
execute_process(COMMAND ${EXPORT} ${WORK}/with/llama_mha --out ${WORK}/exported_with OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
foreach(name IN LISTS beside)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}/with/llama_mha/${name} ${WORK}/exported_with/${name}
    COMMAND_ERROR_IS_FATAL ANY)
  if(NOT output MATCHES "beside it.* ${name}")
    message(FATAL_ERROR "${name} is not named: ${output}")
  endif()
endforeach()

foreach(bad none ${CASES}/llama_skipv1/tokens.npy)
  execute_process(COMMAND ${EXPORT} ${bad} --out ${WORK}/none RESULT_VARIABLE status ERROR_VARIABLE error OUTPUT_QUIET)
  if(NOT status EQUAL 2 OR EXISTS ${WORK}/none)
    message(FATAL_ERROR "${bad}: exit status ${status}, expected 2 and nothing written: ${error}")
  endif()
endforeach()

# Tutorial 02's recipe: skipv1-train, linked with half_cla.cpp, trains half_cla, whose checkpoint says so.
# cmake -D program=FILE -D text=FILE -D work=FOLDER -P own_variant.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${work})
execute_process(COMMAND ${program} --text ${text} --vocab 256 --variant half_cla --width 16 --layers 2 --heads 2 --length 16 --batch 2 --steps 1 --out ${work}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE configs ${work}/config.json)
if(NOT configs)
  message(FATAL_ERROR "no config.json in ${work}")
endif()
foreach(config IN LISTS configs)
  file(READ ${config} text_of_config)
  if(NOT text_of_config MATCHES "half_cla")
    message(FATAL_ERROR "${config} does not name half_cla: ${text_of_config}")
  endif()
endforeach()

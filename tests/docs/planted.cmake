# The checks of this folder find what they are for: each passes on a small tree, and fails, naming the place, once a mistake
# is planted there.
# cmake -D work=FOLDER -P planted.cmake
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})

# Runs a check on a tree of two files, `header` and `page`, and expects `complaint` in what it prints; none: that it passes.
function(expect check header page complaint)
  file(REMOVE_RECURSE ${work})
  file(COPY ${here}/../../docs/spec DESTINATION ${work}/docs)
  file(REMOVE ${work}/docs/spec/formats.md ${work}/docs/spec/mesa.md)  # their links lead out of this tree
  foreach(page_of_spec formats mesa)
    file(WRITE ${work}/docs/spec/${page_of_spec}.md "# ${page_of_spec}\n## Two-head model\n## Theorem 2\n## Closed forms\n")
  endforeach()
  file(WRITE ${work}/skipv1/ops/a.hpp "${header}")
  file(WRITE ${work}/README.md "${page}")
  execute_process(COMMAND ${CMAKE_COMMAND} -D root=${work} -P ${here}/${check}.cmake RESULT_VARIABLE status
    OUTPUT_VARIABLE printed ERROR_VARIABLE printed)
  if(complaint STREQUAL "")
    if(NOT status EQUAL 0)
      message(SEND_ERROR "${check} rejects a tree without mistakes:\n${printed}")
    endif()
    return()
  endif()
  string(FIND "${printed}" "${complaint}" at)
  if(status EQUAL 0 OR at EQUAL -1)
    message(SEND_ERROR "${check} should say \"${complaint}\", ends with ${status} and says:\n${printed}")
  endif()
endfunction()

set(right "// Reads heads (docs/spec/models.md, \"Head\n// routing\"; docs/spec/models.md, eq. (2); the paper, section 3).\n")
expect(citations "${right}" "" "")
expect(citations "${right}// docs/spec/models.md, \"Head rooting\"\n" "" "skipv1/ops/a.hpp:3: docs/spec/models.md has no heading \"Head rooting\"")
expect(citations "${right}// docs/spec/models.md, eq. (99)\n" "" "skipv1/ops/a.hpp:3: docs/spec/models.md has no equation (99)")
expect(citations "${right}// models.md, \"Head routing\"\n" "" "skipv1/ops/a.hpp:3: \"models.md\": cite as docs/spec/PAGE.md")
expect(citations "${right}// docs/spec/models.md, section 2\n" "" "cite as docs/spec/PAGE.md")
expect(citations "// The paper's appendix Q.\n" "" "skipv1/ops/a.hpp:1: \"paper's appendix Q\"")
expect(citations "" "See [models](docs/spec/models.md), \"Nothing\".\n" "README.md:1: docs/spec/models.md has no heading \"Nothing\"")

expect(arrows "#include <vector>\n#include \"skipv1/core/check.hpp\"\n" "" "")
expect(arrows "#include \"skipv1/model/config.hpp\"\n" "" "skipv1/ops/a.hpp:1 includes skipv1/model/config.hpp: an arrow upwards")
expect(arrows "#include <nlohmann/json.hpp>\n" "" "skipv1/ops/a.hpp:1 includes nlohmann/json.hpp")
expect(arrows "#include <stb/stb_image_write.h>\n" "" "skipv1/ops/a.hpp:1 includes stb/stb_image_write.h")
expect(arrows "\n  #  include \"tests/check.hpp\"\n" "" "skipv1/ops/a.hpp:2 includes tests/check.hpp")

expect(links "" "[here](docs/spec/models.md#head-routing) and ![there](https://nowhere)\n" "")
expect(links "" "\n[here](docs/spec/model.md)\n" "README.md:2: the link \"docs/spec/model.md\" leads nowhere")
expect(links "" "[here](docs/spec/models.md#head-rooting)\n" "README.md:1: the link \"docs/spec/models.md#head-rooting\" names no heading")
expect(links "" "# One\n# One\n[second](#one-1)\n" "")
expect(links "" "# One\n[second](#one-1)\n" "README.md:2: the link \"#one-1\" names no heading")
expect(links "" "[here](docs/spec/models.md 'Models')\n" "README.md:1: \"](docs/spec/models.md 'Models')\": a link is [text](path#anchor)")
expect(links "" "[here][models]\n" "README.md:1: \"][models]\": a link is [text](path#anchor)")
expect(links "\n// As in docs/spec/modules.md.\n" "" "skipv1/ops/a.hpp:2: there is no docs/spec/modules.md")

expect(words "// Bytes per token; the standard deviation.\n" "" "")
expect(words "// The tensor copy\n// engine.\n" "" "skipv1/ops/a.hpp: \"copy engine\"")
expect(words "// nats a token\n" "" "skipv1/ops/a.hpp:1: \"nats a token\"")
expect(words "// Waits and takes its turn.\n" "" "skipv1/ops/a.hpp:1: \"takes its turn")
expect(words "// The deviation of seeds.\n" "" "skipv1/ops/a.hpp:1: \"the deviation")

expect(layout "" "" "")
file(WRITE ${work}/pip.log "")  # in the tree that passed
execute_process(COMMAND ${CMAKE_COMMAND} -D root=${work} -P ${here}/layout.cmake RESULT_VARIABLE status ERROR_VARIABLE printed)
if(status EQUAL 0 OR NOT printed MATCHES "pip.log: lies at the top")
  message(SEND_ERROR "layout misses a log at the top of the tree: ${printed}")
endif()

# Installs what package-lock.json pins and bundles the page:
#
#     cmake -D NPM= -D NODE= -D FROM= -D FOLDER= -D OUTPUT= -P
#
# Where the registry cannot be reached, the library is built without the page, and a warning says so. The next build
# tries again once something here has changed, or the file that stands for the page is removed.
file(MAKE_DIRECTORY ${FOLDER})
file(COPY ${FROM}/package.json ${FROM}/package-lock.json ${FROM}/build.mjs DESTINATION ${FOLDER})
file(REMOVE_RECURSE ${FOLDER}/src)
file(COPY ${FROM}/src DESTINATION ${FOLDER})

file(SHA256 ${FOLDER}/package-lock.json wanted)
set(installed "")
if(EXISTS ${FOLDER}/node_modules/.headroom)
    file(READ ${FOLDER}/node_modules/.headroom installed)
endif()
set(failed 0)
if(NOT installed STREQUAL wanted)
    execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
        WORKING_DIRECTORY ${FOLDER} RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said TIMEOUT 300)
    if(NOT failed)
        file(WRITE ${FOLDER}/node_modules/.headroom ${wanted})
    endif()
endif()
if(failed AND MUST)
    message(FATAL_ERROR "npm could not install what the page is bundled from. Its words:\n${said}")
elseif(failed)
    message(WARNING "npm could not install what the page is bundled from: headroom is built without it, and "
                    "'headroom report --html' will say so. Remove ${OUTPUT} to have the next build try again. npm's "
                    "words:\n${said}")
    file(COPY_FILE ${FROM}/none.c ${OUTPUT})
    return()
endif()
execute_process(COMMAND ${NODE} build.mjs ${OUTPUT} WORKING_DIRECTORY ${FOLDER}
    COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)

#compdef weir
# SPDX-License-Identifier: Apache-2.0
# Completion of weir(8) for zsh.
_weir_names() {
    local -a names
    names=(${(f)"$(weir plugins 2>/dev/null | awk -v kind=$1 '$1 == kind { print $2 }')"})
    _describe "$1" names
}
_arguments \
    '(-c --config)'{-c,--config}'[the configuration file]:file:_files' \
    '*'{-i,--input}'[an input]:input:_weir_names input' \
    '*'{-o,--output}'[an output]:output:_weir_names output' \
    '*'{-p,--prop}'[an option of the last input or output]:option=value:' \
    '*'{-m,--match}'[the tags that the last output takes]:match:' \
    '*'{-s,--service}'[a setting of the service section]:setting=value:' \
    '*'{-e,--plugin}'[load one more plugin file]:file:_files' \
    '--json[the status as JSON]' '--help[help]' '--version[the version]' \
    '1::command:(check plugins status reload new-plugin check-plugin)'

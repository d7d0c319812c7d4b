# SPDX-License-Identifier: Apache-2.0
# Completion of weir(8) for bash.

# The names that `weir plugins` lists of one kind.
_weir_plugins() {
    weir plugins 2>/dev/null | awk -v kind="$1" '$1 == kind { print $2 }'
}

# The options of a plugin (or of service, input, output): the first words of its manual's rows.
_weir_options() {
    weir plugins "$1" 2>/dev/null | sed -nE 's/^  ([a-z][a-z0-9_.]*)$/\1=/p'
}

_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} plugin i
    COMPREPLY=()
    case $previous in
    -c | --config | -e | --plugin)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    -i | --input)
        mapfile -t COMPREPLY < <(compgen -W "$(_weir_plugins input)" -- "$current")
        return
        ;;
    -o | --output)
        mapfile -t COMPREPLY < <(compgen -W "$(_weir_plugins output)" -- "$current")
        return
        ;;
    plugins)
        mapfile -t COMPREPLY < <(compgen -W "service input output $(_weir_plugins input) $(_weir_plugins output)" -- "$current")
        return
        ;;
    -s | --service)
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W "$(_weir_options service)" -- "$current")
        return
        ;;
    -p | --prop)
        for ((i = COMP_CWORD; i > 0; i--)); do
            case ${COMP_WORDS[i - 1]} in -i | --input | -o | --output) plugin=${COMP_WORDS[i]} && break ;; esac
        done
        compopt -o nospace 2>/dev/null
        [ -z "$plugin" ] || mapfile -t COMPREPLY < <(compgen -W "$(_weir_options "$plugin")" -- "$current")
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-c -i -o -p -m -s -e --config --input --output --prop --match --service --plugin --json --help --version" -- "$current")
    elif [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "check plugins status reload new-plugin check-plugin" -- "$current")
    fi
}
complete -F _weir weir

# SPDX-License-Identifier: MIT
# Completion of tenon for bash.
_tenon() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W 'run resume sweep compare report reproduce check graph list info data test new help --help --version' -- "$word"))
    return
  fi
  case $command in
  info) COMPREPLY=($(compgen -W "$(tenon list 2>/dev/null | grep -oE '[a-z0-9_]+\.[a-z0-9_]+')" -- "$word")) ;;
  list | new) [ "$COMP_CWORD" = 2 ] && COMPREPLY=($(compgen -W 'dataset sampler transform model loss optimizer gradient
    weighting schedule metric predictor environment problem solver search stage observer communicator' -- "$word")) ;;
  data)
    if [ "$COMP_CWORD" = 2 ]; then
      COMPREPLY=($(compgen -W 'list fetch' -- "$word"))
    else
      COMPREPLY=($(compgen -W "--check $(tenon data list 2>/dev/null | sed -n 's/^  \([^ ]*\) .*/\1/p')" -- "$word"))
    fi
    ;;
  test)
    case $word in
    -*) COMPREPLY=($(compgen -W '--check --seed --fast --with --limit --junit --fuzz --list --help' -- "$word")) ;;
    *) compopt -o filenames; COMPREPLY=($(compgen -f -X '!*.so' -- "$word") $(compgen -d -- "$word")) ;;
    esac
    ;;
  resume | sweep | compare | report)
    local options='--quiet --plugin --help'
    case $command in
    resume) options="$options --unlocked --no-fork" ;;
    sweep) options="$options -j --launcher" ;;
    compare) options='--result --csv --json --help' ;;
    report) options='-o --output --figures --help' ;;
    esac
    case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) compopt -o filenames; COMPREPLY=($(compgen -d -- "$word")) ;;
    esac
    ;;
  run | reproduce | check | graph)
    case $word in
    -*) COMPREPLY=($(compgen -W '--plugin --directory --smoke --quiet --profile --trap-nan --output -j --single --locked
        --no-fork --ranks --launcher --help' -- "$word")) ;;
    *)
      # After the file: section.key= of that file.
      local file=
      for w in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do [ -f "$w" ] && file=$w && break; done
      if [ -n "$file" ]; then
        compopt -o nospace
        COMPREPLY=($(compgen -W "$(awk -F'[][=]' '/^\[/ {s = $2; next} /^[a-z0-9_]+ *=/ {k = $1; sub(/ +$/, "", k); print s "." k "="}' "$file")" -- "$word"))
      else
        compopt -o filenames
        COMPREPLY=($(compgen -f -X '!*.ini' -- "$word") $(compgen -d -- "$word"))
      fi
      ;;
    esac
    ;;
  esac
}
complete -F _tenon tenon

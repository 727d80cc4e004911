# What the rest of this script takes from the package bash-completion, for shells without it. One
# that loads the package later uses the package's.
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    # The words up to the cursor, whole: bash itself cuts them at = and : too.
    _get_comp_words_by_ref()
    {
        local line=${COMP_LINE:0:COMP_POINT}
        read -ra words <<<"$line"
        if [[ $line == *[[:blank:]] ]]; then
            words+=('')
        fi
        cword=$((${#words[@]} - 1))
        cur=${words[cword]}
        prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi
if ! declare -F _filedir >/dev/null; then
    _filedir()
    {
        local IFS=$'\n' kind=-f
        if [[ ${1-} == -d ]]; then
            kind=-d
        fi
        COMPREPLY+=($(compgen "$kind" -- "$cur"))
        compopt -o filenames 2>/dev/null
    }
fi


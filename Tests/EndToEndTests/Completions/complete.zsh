# Types half of a job's name into an interactive shell, with a tab, and prints what the shell then runs.
#
# usage: zsh -f complete.zsh zsh|fish LINE PATTERN     LINE without the rest; PATTERN of the program's answer to all of it
zmodload zsh/zpty
case $1 in
zsh)
    zpty shell zsh -f -i
    setup='PS1=; autoload -Uz compinit; compinit -D; source <(charnn --generate-completion-script zsh); compdef _charnn charnn'
    ;;
fish)
    zpty shell fish --no-config
    setup='charnn --generate-completion-script fish | source'
    ;;
esac
# The quotes keep the echo of the command from being taken for its answer.
zpty -w shell "$setup; echo REA''DY"
zpty -r shell answer '*READY*'
zpty -w -n shell "$2"$'\t\n'
zpty -r shell answer "*$3*"
print -r -- "$answer"

import CharnnModel

/// The version of both programs.
public let programVersion = Model.programVersion

/// What both programs say of `--spool`.
public let spoolHelp = """
    Default: $CHARNND_SPOOL, else /var/spool/charnnd where this user may use it, else charnnd in $XDG_STATE_HOME or \
    ~/.local/state, or where that is on a network file system /var/tmp/charnnd-UID.
    """

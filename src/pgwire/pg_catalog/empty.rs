//! Relations of PostgreSQL's catalogs that are empty here: there are no views,
//! sequences, triggers, policies, publications or locks.

/// Name and columns.
pub const EMPTY: &[(&str, &str)] = &[
    ("pg_attrdef", "oid:o adrelid:o adnum:h adbin:s"),
    ("pg_inherits", "inhrelid:o inhparent:o inhseqno:i inhdetachpending:b"),
    ("pg_enum", "oid:o enumtypid:o enumsortorder:f enumlabel:n"),
    (
        "pg_sequence",
        "seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b",
    ),
    (
        "pg_policy",
        "oid:o polname:n polrelid:o polcmd:s polpermissive:b polroles:i[] polqual:s \
         polwithcheck:s",
    ),
    (
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:n tgfoid:o tgtype:h tgenabled:s tgisinternal:b \
         tgconstrrelid:o tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b \
         tgnargs:h tgattr:h[] tgargs:s tgqual:s tgoldtable:n tgnewtable:n",
    ),
    (
        "pg_rewrite",
        "oid:o rulename:n ev_class:o ev_type:s ev_enabled:s is_instead:b ev_qual:s ev_action:s",
    ),
    (
        "pg_statistic_ext",
        "oid:o stxrelid:o stxname:n stxnamespace:o stxowner:o stxstattarget:i stxkeys:h[] \
         stxkind:s[] stxexprs:s",
    ),
    (
        "pg_publication",
        "oid:o pubname:n pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b \
         pubtruncate:b pubviaroot:b",
    ),
    ("pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:s prattrs:h[]"),
    ("pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    ("pg_publication_tables", "pubname:n schemaname:n tablename:n attnames:s[] rowfilter:s"),
    ("pg_auth_members", "oid:o roleid:o member:o grantor:o admin_option:b"),
    ("pg_db_role_setting", "setdatabase:o setrole:o setconfig:s[]"),
    ("pg_default_acl", "oid:o defaclrole:o defaclnamespace:o defaclobjtype:s defaclacl:s[]"),
    ("pg_depend", "classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype:s"),
    ("pg_shdepend", "dbid:o classid:o objid:o objsubid:i refclassid:o refobjid:o deptype:s"),
    ("pg_shdescription", "objoid:o classoid:o description:s"),
    ("pg_foreign_table", "ftrelid:o ftserver:o ftoptions:s[]"),
    (
        "pg_foreign_server",
        "oid:o srvname:n srvowner:o srvfdw:o srvtype:s srvversion:s srvacl:s[] srvoptions:s[]",
    ),
    (
        "pg_foreign_data_wrapper",
        "oid:o fdwname:n fdwowner:o fdwhandler:o fdwvalidator:o fdwacl:s[] fdwoptions:s[]",
    ),
    (
        "pg_partitioned_table",
        "partrelid:o partstrat:s partnatts:h partdefid:o partattrs:h[] partclass:i[] \
         partcollation:i[] partexprs:s",
    ),
    (
        "pg_extension",
        "oid:o extname:n extowner:o extnamespace:o extrelocatable:b extversion:s \
         extconfig:i[] extcondition:s[]",
    ),
    ("pg_user_mapping", "oid:o umuser:o umserver:o umoptions:s[]"),
    ("pg_user_mappings", "umid:o srvid:o srvname:n umuser:o usename:n umoptions:s[]"),
    ("pg_seclabel", "objoid:o classoid:o objsubid:i provider:s label:s"),
    ("pg_shseclabel", "objoid:o classoid:o provider:s label:s"),
    (
        "pg_event_trigger",
        "oid:o evtname:n evtevent:n evtowner:o evtfoid:o evtenabled:s evttags:s[]",
    ),
    ("pg_group", "groname:n grosysid:o grolist:i[]"),
    ("pg_views", "schemaname:n viewname:n viewowner:n definition:s"),
    (
        "pg_matviews",
        "schemaname:n matviewname:n matviewowner:n tablespace:n hasindexes:b ispopulated:b \
         definition:s",
    ),
    (
        "pg_sequences",
        "schemaname:n sequencename:n sequenceowner:n data_type:s start_value:l min_value:l \
         max_value:l increment_by:l cycle:b cache_size:l last_value:l",
    ),
    ("pg_rules", "schemaname:n tablename:n rulename:n definition:s"),
    (
        "pg_policies",
        "schemaname:n tablename:n policyname:n permissive:s roles:s[] cmd:s qual:s with_check:s",
    ),
    (
        "pg_locks",
        "locktype:s database:o relation:o page:i tuple:h virtualxid:s transactionid:s classid:o \
         objid:o objsubid:h virtualtransaction:s pid:i mode:s granted:b fastpath:b waitstart:t",
    ),
    (
        "pg_stats",
        "schemaname:n tablename:n attname:n inherited:b null_frac:f avg_width:i n_distinct:f \
         most_common_vals:s most_common_freqs:s histogram_bounds:s correlation:f",
    ),
    ("pg_prepared_xacts", "transaction:s gid:s prepared:t owner:n database:n"),
    ("pg_available_extensions", "name:n default_version:s installed_version:s comment:s"),
    ("pg_timezone_names", "name:s abbrev:s utc_offset:s is_dst:b"),
    (
        "pg_stat_user_indexes",
        "relid:o indexrelid:o schemaname:n relname:n indexrelname:n idx_scan:l idx_tup_read:l \
         idx_tup_fetch:l",
    ),
    (
        "pg_stat_database",
        "datid:o datname:n numbackends:i xact_commit:l xact_rollback:l blks_read:l blks_hit:l \
         tup_returned:l tup_fetched:l tup_inserted:l tup_updated:l tup_deleted:l conflicts:l \
         temp_files:l temp_bytes:l deadlocks:l stats_reset:t",
    ),
    ("pg_stat_gssapi", "pid:i gss_authenticated:b principal:s encrypted:b credentials_delegated:b"),
    ("pg_stat_ssl", "pid:i ssl:b version:s cipher:s bits:i client_dn:s"),
    ("pg_stat_replication", "pid:i usesysid:o usename:n application_name:s state:s"),
    ("pg_replication_slots", "slot_name:n plugin:n slot_type:s database:n active:b"),
    ("pg_stat_statements", "userid:o dbid:o queryid:l query:s calls:l total_exec_time:l rows:l"),
];

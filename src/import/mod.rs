//! Reading rows from files: CSV, JSON lines, Web API JSON, Parquet and job traces.

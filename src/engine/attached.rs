//! An attached table as DataFusion sees it: its files, read by DataFusion's own
//! Parquet reader, which leaves out row groups and columns that no query needs.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;

use crate::catalog::{Attached, AttachedFile};

/// An attached table.
#[derive(Debug)]
pub struct AttachedTable(pub Arc<Attached>);

impl AttachedTable {
    /// Rows of the table.
    pub fn rows(&self) -> usize {
        usize::try_from(self.0.rows()).unwrap_or(usize::MAX)
    }

    /// The scan of some columns of all files. An error if one of them is not what it
    /// was when the columns and rows were looked at.
    async fn files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.0.table.schema();
        let global = state.config_options().execution.parquet.clone();
        let mut options = TableParquetOptions { global, ..TableParquetOptions::default() };
        // As nanoseconds such times end in the year 2262.
        options.global.coerce_int96 = Some("us".to_owned());
        let source = ParquetSource::new(schema.clone());
        let files = self.0.files.iter().map(part).collect::<Result<Vec<_>>>()?;
        let partitions = state.config().target_partitions();
        let statistics = Statistics {
            num_rows: Precision::Exact(self.rows()),
            ..Statistics::new_unknown(schema)
        };
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(FileGroup::new(files).split_files(partitions))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        ParquetFormat::new().with_options(options).create_physical_plan(state, scan).await
    }
}

/// A file for a scan.
fn part(file: &AttachedFile) -> Result<PartitionedFile> {
    file.check().map_err(|e| DataFusionError::External(Box::new(e)))?;
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location: Path::from_absolute_path(&file.path)?,
        last_modified: file.modified.into(),
        size: file.size,
        e_tag: None,
        version: None,
    }))
}

#[async_trait]
impl TableProvider for AttachedTable {
    fn schema(&self) -> SchemaRef {
        self.0.table.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The reader leaves out what cannot be in the answer; what it reads is tested.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.files(state, projection, limit).await
    }
}

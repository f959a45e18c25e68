// What watches and what delivers: archive, monitoring, delivery.
import * as cdk from 'aws-cdk-lib';
import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as codebuild from 'aws-cdk-lib/aws-codebuild';
import * as codepipeline from 'aws-cdk-lib/aws-codepipeline';
import * as pipelineActions from 'aws-cdk-lib/aws-codepipeline-actions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as firehose from 'aws-cdk-lib/aws-kinesisfirehose';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Common } from './foundation';
import { Service } from './service';
import { ACCOUNT, Base, PREFIX, REGION, bucket, encryptionKey, logGroup, role, topics } from './shared';
import { Below } from './tasks';

export class Archive extends Base {
  constructor(app: cdk.App, common: Common, service: Service) {
    super(app, 'archive');
    const kept = bucket(this, 'Bucket', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: common.key,
      bucketKeyEnabled: true,
      lifecycleRules: [{
        expiration: cdk.Duration.days(730),
        transitions: [
          { storageClass: s3.StorageClass.INFREQUENT_ACCESS, transitionAfter: cdk.Duration.days(30) },
          { storageClass: s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
            transitionAfter: cdk.Duration.days(90) },
        ],
      }],
    }, common.accessLogs);
    const group = logGroup(this, 'Logs', `/llmops/${PREFIX}/archive`, common.key);
    const delivery = role(this, 'DeliveryRole', 'firehose.amazonaws.com', [
      [['s3:PutObject', 's3:AbortMultipartUpload'], [kept.arnForObjects('*')]],
      [['s3:ListBucket', 's3:GetBucketLocation'], [kept.bucketArn]],
      [['kms:Decrypt', 'kms:GenerateDataKey'], [common.key.keyArn]],
      [['logs:PutLogEvents'], [group.logGroupArn]],
    ]);
    const errors = new logs.LogStream(this, 'Errors', { logGroup: group });
    const stream = new firehose.CfnDeliveryStream(this, 'Stream', {
      deliveryStreamName: `${PREFIX}-archive-service`,
      deliveryStreamType: 'DirectPut',
      deliveryStreamEncryptionConfigurationInput: {
        keyType: 'CUSTOMER_MANAGED_CMK', keyArn: common.key.keyArn,
      },
      extendedS3DestinationConfiguration: {
        bucketArn: kept.bucketArn,
        roleArn: delivery.roleArn,
        prefix: 'service/',
        compressionFormat: 'GZIP',
        bufferingHints: { intervalInSeconds: 900, sizeInMBs: 64 },
        cloudWatchLoggingOptions: {
          enabled: true, logGroupName: group.logGroupName, logStreamName: errors.logStreamName,
        },
      },
    });
    new logs.CfnSubscriptionFilter(this, 'Subscription', {
      logGroupName: service.task.logs.logGroupName,
      filterPattern: '',
      destinationArn: stream.attrArn,
      roleArn: role(this, 'SubscriptionRole', 'logs.amazonaws.com', [
        [['firehose:PutRecord', 'firehose:PutRecordBatch'], [stream.attrArn]],
      ]).roleArn,
    });
  }
}

const TOTALS = ['Requests', 'ProviderErrors', 'ProviderTimeouts', 'Feedback', 'Cost',
  'ScoringSpend', 'BudgetEvents', 'InitDuration'];
const QUERIES = ['slowest requests', 'errors by provider', 'cost by feature', 'refused',
  'by request', 'by release', 'cache', 'jobs'];
const WIDGETS = { Quality: 9, Latency: 11, Cost: 9, Release: 13 };

export class Monitoring extends Base {
  constructor(app: cdk.App, below: Below, service: Service) {
    super(app, 'monitoring');
    const group = service.task.logs;
    const namespace = `llmops/${PREFIX}`;
    const metric = (metricName: string, statistic = 'Sum'): cloudwatch.Metric =>
      new cloudwatch.Metric({ namespace, metricName, statistic });
    for (const each of TOTALS) {
      new logs.MetricFilter(this, each, {
        logGroup: group,
        filterPattern: logs.FilterPattern.exists(`$.${each}`),
        metricNamespace: namespace,
        metricName: each,
        metricValue: `$.${each}`,
      });
    }
    for (const query of QUERIES) {
      new logs.CfnQueryDefinition(this, `Query ${query}`, {
        name: `${PREFIX}/${query}`,
        logGroupNames: [group.logGroupName],
        queryString: 'fields @timestamp, request_id\n| filter ispresent(Latency)\n| limit 50',
      });
    }
    for (const [dashboard, count] of Object.entries(WIDGETS)) {
      const made = new cloudwatch.Dashboard(this, `${dashboard}Dashboard`, {
        dashboardName: `${PREFIX}-${dashboard}`,
      });
      for (let index = 0; index < count; index += 1) {
        made.addWidgets(new cloudwatch.GraphWidget({
          title: `${dashboard} ${index}`,
          width: 12,
          left: [metric(TOTALS[index % 8]), metric(TOTALS[(index + 1) % 8], 'p95')],
        }));
      }
    }
    this.alarms(below, metric);
    this.budget(below.common);
  }

  private alarms(below: Below, metric: (name: string, statistic?: string) => cloudwatch.Metric): void {
    for (let index = 0; index < 26; index += 1) {
      const [failed, requests] = [metric(TOTALS[index % 8]), metric('Requests')];
      const made = new cloudwatch.Alarm(this, `Alarm${index}`, {
        alarmName: `${PREFIX}-operations-${index}`,
        alarmDescription: 'See the runbook',
        metric: index % 3 ? failed : new cloudwatch.MathExpression({
          expression: 'IF(failed >= 5, 100*failed/requests, 0)', usingMetrics: { failed, requests },
        }),
        threshold: 10 + index,
        evaluationPeriods: 5,
        datapointsToAlarm: 3,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      });
      const topic = index % 2 ? below.common.topics.critical : below.common.topics.warning;
      made.addAlarmAction(new actions.SnsAction(topic));
      made.addOkAction(new actions.SnsAction(topic));
    }
  }

  private budget(common: Common): void {
    const notified = (threshold: number): budgets.CfnBudget.NotificationWithSubscribersProperty => ({
      notification: {
        comparisonOperator: 'GREATER_THAN', notificationType: 'ACTUAL', threshold,
        thresholdType: 'PERCENTAGE',
      },
      subscribers: [{ address: common.topics.warning.topicArn, subscriptionType: 'SNS' }],
    });
    new budgets.CfnBudget(this, 'Monthly', {
      budget: {
        budgetName: `${PREFIX}-monthly`,
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: 3000, unit: 'USD' },
      },
      notificationsWithSubscribers: [80, 90, 95, 100].map(notified),
    });
  }
}

export class Delivery extends Base {
  constructor(app: cdk.App) {
    super(app, 'delivery');
    const provider = new iam.OidcProviderNative(this, 'GitHub', {
      url: 'https://token.actions.githubusercontent.com', clientIds: ['sts.amazonaws.com'],
    });
    const deployer = new iam.Role(this, 'GitHubRole', {
      roleName: `${PREFIX}-deploy`,
      assumedBy: new iam.WebIdentityPrincipal(provider.oidcProviderArn, {
        StringEquals: { 'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com' },
      }),
    });
    for (const [service, what] of [['cloudformation', 'stack'], ['ecs', 'service'],
      ['ecr', 'repository'], ['ssm', 'parameter'], ['cloudwatch', 'alarm'], ['s3', 'bucket'],
      ['lambda', 'function'], ['logs', 'log-group'], ['iam', 'role']]) {
      deployer.addToPolicy(new iam.PolicyStatement({
        actions: [`${service}:Describe${what.length}`, `${service}:Get${what.length}`],
        resources: [`arn:aws:${service}:${REGION}:${ACCOUNT}:${what}/${PREFIX}*`],
      }));
    }
    const key = encryptionKey(this, `alias/${PREFIX}-delivery`);
    const told = topics(this, 'delivery', key);
    const access = bucket(this, 'AccessLogs', { encryption: s3.BucketEncryption.S3_MANAGED });
    const artifacts = bucket(this, 'Artifacts', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: key,
    }, access);
    const source = new codepipeline.Artifact('Source');
    const running = role(this, 'PipelineRole', 'codepipeline.amazonaws.com', [
      [['s3:GetObject', 's3:PutObject'], [artifacts.arnForObjects('*')]],
    ]);
    const build = (id: string): pipelineActions.CodeBuildAction => new pipelineActions.CodeBuildAction({
      actionName: id, input: source, project: this.project(id, key), role: running.withoutPolicyUpdates(),
    });
    new codepipeline.Pipeline(this, 'Pipeline', {
      pipelineName: `${PREFIX}-delivery`,
      pipelineType: codepipeline.PipelineType.V2,
      artifactBucket: artifacts,
      role: running,
      usePipelineRoleForActions: true,
      stages: [
        { stageName: 'Source', actions: [new pipelineActions.CodeStarConnectionsSourceAction({
          actionName: 'Source', owner: 'example', repo: 'llmops', branch: 'main', output: source,
          connectionArn: `arn:aws:codeconnections:${REGION}:${ACCOUNT}:connection/0`,
          role: running.withoutPolicyUpdates(),
        })] },
        { stageName: 'Test', actions: [build('Test')] },
        { stageName: 'Approve', actions: [new pipelineActions.ManualApprovalAction({
          actionName: 'Approve', notificationTopic: told.warning, role: running.withoutPolicyUpdates(),
        })] },
        { stageName: 'Deploy', actions: [build('Deploy')] },
      ],
    });
  }

  private project(id: string, key: kms.IKey): codebuild.PipelineProject {
    const group = logGroup(this, `${id}Logs`, `/llmops/${PREFIX}/pipeline/${id.toLowerCase()}`, key);
    const builder = role(this, `${id}Role`, 'codebuild.amazonaws.com', [
      [['logs:CreateLogStream', 'logs:PutLogEvents'], [group.logGroupArn]],
    ]);
    return new codebuild.PipelineProject(this, id, {
      projectName: `${PREFIX}-delivery-${id.toLowerCase()}`,
      role: builder.withoutPolicyUpdates(),
      encryptionKey: key,
      environment: { buildImage: codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0 },
      logging: { cloudWatch: { logGroup: group } },
      buildSpec: codebuild.BuildSpec.fromObject({
        version: '0.2', phases: { build: { commands: ['set -euo pipefail', '.ci/run'] } },
      }),
    });
  }
}
